"""What the untouched base measures, remembered: it costs seconds, and is the same for every run on a sample."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.scenecache import keep
from training.validation import Measures


def remembered(cache: Path, facts: Mapping[str, Any], measure: Callable[[], Measures]) -> tuple[Measures, float]:
    """Return what `measure` found for these `facts` once, and how many seconds that took.

    A damaged or unwritable cache costs only time.
    """
    key = hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()
    file = cache / "untouched" / f"{key}.json"
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return Measures.from_mapping(known["measures"]), float(known["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        began = time.monotonic()
        found = measure().to_mapping()
        seconds = time.monotonic() - began
        keep(file, json.dumps({"measures": found, "seconds": seconds}).encode())
        return Measures.from_mapping(found), seconds
