"""The loss picture: what was learned, what was held out, and where the best stood."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_SMOOTHED_OVER = 20


def draw_losses(records: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Draw training loss and held-out bits per byte over tokens, from the records of metrics.jsonl."""
    rows = list(records)
    train = [row for row in rows if row["kind"] == "train"]
    tokens_at = {row["step"]: row["tokens"] for row in train}
    held_out = [(tokens_at.get(row["step"], 0), row["bits_per_byte"]) for row in rows if row["kind"] == "validation"]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left = figure.subplots()
    right = left.twinx()
    left.plot([row["tokens"] for row in train], _smoothed([row["loss"] for row in train]), color="tab:gray")
    left.set_xlabel("tokens read")
    left.set_ylabel("training loss, nats a learned token (running mean)", color="tab:gray")
    right.plot(*zip(*held_out, strict=True), color="tab:blue", marker="o") if held_out else None
    right.set_ylabel("held-out bits per byte", color="tab:blue")
    if held_out:
        best = min(held_out, key=lambda point: point[1])
        right.annotate(f"best {best[1]:.3f}", best, xytext=(0, 12), textcoords="offset points", ha="center")
    left.set_title("Learning curve")
    figure.savefig(path, dpi=120)


def _smoothed(values: list[float]) -> list[float]:
    means = []
    for end in range(1, len(values) + 1):
        recent = values[max(0, end - _SMOOTHED_OVER) : end]
        means.append(sum(recent) / len(recent))
    return means
