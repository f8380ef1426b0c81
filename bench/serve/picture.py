"""The picture of how it grows: replies a minute by conversations at once, and by the length of the history."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.serve.growth import Growth, Point
from training.report.picture import COLOURS

_LINES = (("warm", "ours, warm", "held", "-o"), ("cold", "ours, cold", "train", "-s"),
          ("generate", "generate, fp32, one at a time", "quiet", "--^"))  # fmt: skip
_TICKS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def draw(growth: Growth, file: Path) -> None:
    """Write the picture, 1,600 pixels wide: at half that size its words are as large as those of a page."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, growth.conversations, f"conversations at once, histories of {growth.turns} turns")
    _panel(right, growth.histories, f"turns of history, {growth.at_once} conversations at once")
    left.set_ylabel("replies a minute")
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(file, dpi=200, facecolor="white")


def _panel(axis: Axes, points: Sequence[Point], what: str) -> None:
    places = [point.at for point in points]
    for name, label, colour, style in _LINES:
        values = [getattr(point, name) for point in points]
        axis.plot(places, values, style, color=COLOURS[colour], label=label, markersize=5)
        _number(axis, points, name, COLOURS[colour])
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(FixedLocator(places))
    axis.yaxis.set_major_locator(FixedLocator(_TICKS))
    for side in (axis.xaxis, axis.yaxis):
        side.set_minor_locator(NullLocator())
        side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlabel(what)
    axis.grid(color=COLOURS["grid"])
    axis.spines[["right", "top"]].set_visible(False)
    axis.margins(x=0.12, y=0.15)


def _number(axis: Axes, points: Sequence[Point], name: str, colour: str) -> None:
    """Write the values beside a line, on the side where no other line is near."""
    place = {"xytext": (0, -14 if name == "cold" else 7), "textcoords": "offset points", "ha": "center"}
    for point in points:
        value = getattr(point, name)
        axis.annotate(f"{value:.0f}", (point.at, value), color=colour, **place)
