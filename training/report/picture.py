"""Pictures of a run over the tokens it has read. The only file that knows matplotlib.

A plot becomes SVG for a page, with CSS variables for colours so that it follows light and dark, and
PNG in the light colours for everything else.
"""

import io
import math
import re
import warnings
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

# The light colours; a page defines `--chart-NAME` for both modes.
COLOURS = {
    "ink": "#30343b", "quiet": "#6b7079", "grid": "#e3e5e9", "held": "#0a5fb4", "train": "#b4540a", "gap": "#f0b183",
    "alarm": "#d9534a", "third": "#0b7a5b", "fourth": "#7c4bb3", "fifth": "#7a6a12",
}  # fmt: skip
_STYLE: Any = {
    "axes.edgecolor": COLOURS["quiet"], "axes.grid": True, "axes.labelcolor": COLOURS["ink"],
    "axes.spines.right": False, "axes.spines.top": False, "font.size": 10.5, "grid.color": COLOURS["grid"],
    "svg.fonttype": "none", "text.color": COLOURS["ink"], "text.parse_math": False,
    "xtick.color": COLOURS["quiet"], "xtick.labelcolor": COLOURS["ink"], "ytick.color": COLOURS["quiet"],
    "ytick.labelcolor": COLOURS["ink"],
}  # fmt: skip
_NARROW, _WIDE, _DPI = 5.4, 9.6, 150
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_CLOSE = 0.24

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """Points (tokens, value) under a name, in one of COLOURS."""

    name: str
    points: Points
    colour: str
    style: str = "-"
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines that share a unit; `level` is a dotted reference, named or not.

    `shaded` fills between the first two lines, or between one and the level; from the tokens
    `alarm` on in another colour. `height` is relative to the other panels.
    """

    unit: str
    lines: Sequence[Line]
    level: tuple[str, float] | None = None
    shaded: bool = False
    alarm: float = math.inf
    height: float = 1.0


@dataclass(frozen=True, slots=True)
class Plot:
    """Panels one above the other over tokens. `marks` are (tokens, label), `minutes` (tokens, minutes)."""

    panels: Sequence[Panel]
    minutes: Points = ()
    marks: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn plot: an `<svg>` element for a page, and the bytes of a PNG file."""

    svg: str
    png: bytes


def draw(plot: Plot, name: str, *, wide: bool = False) -> Picture:
    """Draw a plot; `name` keeps the ids of several pictures in one page apart."""
    height = 1.6 + 1.7 * sum(panel.height for panel in plot.panels)
    with rc_context(_STYLE | {"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a corpus's name in a script that the font lacks
        figure = Figure(figsize=(_WIDE if wide else _NARROW, height), layout="constrained")
        FigureCanvasAgg(figure)
        heights = [panel.height for panel in plot.panels]
        axes = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
        for axis, panel in zip(axes, plot.panels, strict=True):
            _draw_panel(axis, panel)
        _label_tokens(axes[-1], plot)
        _draw_marks(axes, plot.marks)
        _draw_legend(figure, axes, wide)
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", transparent=True, metadata=_NO_METADATA)
        figure.savefig(png, format="png", dpi=_DPI, facecolor="white")
    return Picture(_for_a_page(svg.getvalue()), png.getvalue())


def _draw_panel(axis: Axes, panel: Panel) -> None:
    for line in panel.lines:
        xs, ys = zip(*line.points, strict=True)
        marker = line.marker or ("o" if len(xs) == 1 else "")
        axis.plot(xs, ys, line.style, color=COLOURS[line.colour], marker=marker, markersize=5, label=line.name)
    if panel.level:
        name, value = panel.level
        axis.axhline(value, color=COLOURS["quiet"], linestyle=":", label=name)
    if panel.shaded:
        _shade(axis, panel)
    axis.set_ylabel(panel.unit)
    axis.yaxis.set_major_locator(MaxNLocator(5 if panel.height >= 1 else 3))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}".replace("-", "−")))


def _shade(axis: Axes, panel: Panel) -> None:
    upper = dict(panel.lines[0].points)
    lower = dict(panel.lines[1].points) if len(panel.lines) > 1 else dict.fromkeys(upper, _value_of(panel.level))
    both = sorted(x for x in upper.keys() & lower.keys() if upper[x] >= lower[x])
    for colour, xs in (
        ("gap", [x for x in both if x <= panel.alarm]),
        ("alarm", [x for x in both if x >= panel.alarm]),
    ):
        tops, bottoms = [upper[x] for x in xs], [lower[x] for x in xs]
        axis.fill_between(xs, tops, bottoms, color=COLOURS[colour], alpha=0.3, linewidth=0)


def _value_of(level: tuple[str, float] | None) -> float:
    return level[1] if level else 0.0


def _label_tokens(axis: Axes, plot: Plot) -> None:
    """Label the ticks with tokens, and below with the minutes it took to get there."""
    reached = max(x for panel in plot.panels for line in panel.lines for x, _ in line.points)
    last = reached or 1.0
    axis.set_xlim(-0.02 * last, 1.02 * last)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    unit, per = next(((unit, per) for unit, per in ((" M", 1e6), (" k", 1e3)) if last >= 2 * per), ("", 1.0))

    def label(tokens: float, _: Any) -> str:
        if not 0 <= tokens <= reached:
            return ""
        minutes = _at(plot.minutes, tokens) if plot.minutes else 0.0
        below = f"\n{minutes:.{0 if minutes >= 10 else 1}f} min" if plot.minutes else ""
        return f"{tokens / per:.3g}{unit if tokens else ''}{below}"

    axis.xaxis.set_major_formatter(FuncFormatter(label))
    axis.set_xlabel("tokens read, and minutes of work" if plot.minutes else "tokens read")


def _at(points: Points, x: float) -> float:
    """Return the value at `x` on the straight lines between points of ascending x."""
    place = bisect_left(points, x, key=lambda point: point[0])
    if place == 0 or place == len(points):
        return points[min(place, len(points) - 1)][1]
    (x0, y0), (x1, y1) = points[place - 1], points[place]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _draw_marks(axes: Sequence[Axes], marks: Sequence[tuple[float, str]]) -> None:
    """Draw vertical lines through all panels; labels that would meet stand one above the other."""
    first, last = axes[0].get_xlim()
    row, before = 0, -1.0
    for tokens, label in sorted(marks):
        place = (tokens - first) / (last - first)
        row = row + 1 if before >= 0 and place - before < _CLOSE else 0
        before = place
        for axis in axes:
            axis.axvline(tokens, color=COLOURS["quiet"], linewidth=1, linestyle="--", zorder=1)
        axes[0].annotate(
            label, (tokens, 1), xycoords=("data", "axes fraction"), xytext=(0, 3 + 13 * row),
            textcoords="offset points", ha="right" if place > 0.75 else "left" if place < 0.25 else "center",
        )  # fmt: skip


def _draw_legend(figure: Figure, axes: Sequence[Axes], wide: bool) -> None:
    """Name the lines of the first panel, where there are several; the other panels' units name theirs."""
    handles, names = axes[0].get_legend_handles_labels()
    if len(names) > 1:
        figure.legend(
            handles, names, loc="outside upper left", ncols=len(names) if wide else 2, frameon=False,
            columnspacing=1.2, handlelength=1.8,
        )  # fmt: skip


def _for_a_page(svg: str) -> str:
    """Cut an SVG file down to what a page needs, with the page's colours and font."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--chart-{name}, {colour})")
    return svg.strip()
