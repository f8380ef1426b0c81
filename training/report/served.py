"""What `echochamber evaluate` found of a run's best checkpoint, for the report."""

import json
from pathlib import Path
from typing import Any

from training.evaluation.store import Result
from training.evaluation.wording import beside, interval, number
from training.runfolder import EVALUATION


def evaluation(folder: Path) -> dict[str, Any] | None:
    """Return the title, the columns and the rows by measure; None where nothing was evaluated that is understood."""
    try:
        content = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
        result = Result.from_mapping(content)
        others = [(name, Result.from_mapping(content[name])) for name in ("base", "other") if content[name]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return {
        "title": result.title,
        "columns": ["this checkpoint", "95 % interval", "people", *(one.name for _, one in others)],
        "measures": [
            {
                "name": measure.name,
                "rows": [
                    {
                        "name": figure.label,
                        "values": [
                            number(figure, figure.value),
                            interval(figure),
                            "" if figure.people is None else number(figure, figure.people),
                            *(beside(one, measure, figure) for _, one in others),
                        ],
                    }
                    for figure in measure.figures
                    if figure.value is not None
                ],
            }
            for measure in result.measures
        ],
    }
