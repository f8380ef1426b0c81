"""Figures in words, for the terminal and for pages alike."""

from training.evaluation.figures import Figure, Measure
from training.evaluation.store import Result

UNKNOWN = "-"


def number(figure: Figure, value: float | None) -> str:
    """Return a value in the figure's unit."""
    if value is None:
        return UNKNOWN
    if figure.unit == "share":
        return f"{100 * value:.1f} %"
    if figure.unit == "points":
        return f"{100 * value:+.1f}"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def interval(figure: Figure) -> str:
    """Return a figure's interval, "" where it has none."""
    if figure.value is None or figure.low is None or figure.high is None:
        return ""
    low, high = (number(figure, one).removesuffix(" %") for one in (figure.low, figure.high))
    return f"{low} to {high}"


def beside(other: Result | None, measure: Measure, figure: Figure) -> str:
    """Return the same figure of another result, "" where it has none."""
    for one in other.measures if other else ():
        if one.name == measure.name:
            found = next((two for two in one.figures if two.key == figure.key), None)
            return "" if found is None else number(figure, found.value)
    return ""
