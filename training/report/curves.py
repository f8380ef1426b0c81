"""Which pictures a run has, what each shows, and how to read it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from training.report.picture import Line, Panel, Plot
from training.report.runlog import Record, RunLog
from training.words import number, signed

_MOST_POINTS = 300
_NOTABLE_RISE = 1.005
_CORPUS_STYLES = (("held", "-"), ("third", "--"), ("fourth", "-."), ("train", ":"), ("fifth", "-"))

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A picture to be: `key` names its file, `alt` tells it to who cannot see it."""

    key: str
    title: str
    caption: str
    alt: str
    plot: Plot


def curves(run: RunLog) -> list[Curve]:
    """Return the pictures that the run's records are enough for, the learning curve first."""
    return [one for one in (_learning(run), _persona(run), _corpora(run), _rate(run)) if one]


def gap(record: Record) -> float | None:
    """Return by how many bits a byte held-out lines are harder than those of the training sample."""
    held, train = number(record, "bits_per_byte"), number(record, "train_bits_per_byte")
    return None if held is None or train is None else held - train


def is_by_heart(run: RunLog) -> bool:
    """Say whether, after the best checkpoint, held-out lines became harder while the gap went on opening."""
    best, last = run.best, run.last
    if not best or not last or last is best:
        return False
    began, ended = gap(best), gap(last)
    rose = last["bits_per_byte"] > _NOTABLE_RISE * best["bits_per_byte"]
    return rose and began is not None and ended is not None and ended > began


def _learning(run: RunLog) -> Curve | None:
    held, train = _points(run.validations, "bits_per_byte"), _points(run.validations, "train_bits_per_byte")
    if not held:
        return None
    lines = [Line("held-out episodes", held, "held", marker="o")]
    if train:
        lines.append(Line("training sample", train, "train", "--", "s"))
    untouched = number(run.untouched, "bits_per_byte")
    level = None if untouched is None else ("untouched base", untouched)
    alarm = _tokens(run.best) if is_by_heart(run) else None
    from_there = math.inf if alarm is None else alarm
    panels = [Panel("bits per byte", lines, level, shaded=bool(train), alarm=from_there, height=1.4)]
    gaps = _points([one | {"gap": gap(one)} for one in run.validations], "gap")
    alt = f"Held-out bits per byte {_course(held)}"
    if len(gaps) > 1:
        start = ("the gap at the start", gaps[0][1])
        line = Line("the gap", gaps, "alarm", marker="o")
        panels.append(Panel("gap", [line], start, shaded=True, alarm=from_there, height=0.6))
        alt += f"; on the training sample {_course(train)}; the gap between them {_course(gaps)}"
    caption = (
        "How many bits the model needs for one byte of the characters' lines: lower is better. Blue are episodes it "
        "never learned from, orange a fixed sample of scenes it did; both are measured alike. While both fall, it "
        "learns. When blue turns up while orange goes on down, the gap below opens: it is learning by heart"
    )
    caption += "; here that is the red part, behind the best checkpoint." if alarm is not None else "."
    return Curve("learning_curve", "Learning curve", caption, alt + ".", Plot(panels, _minutes(run), _marks(run)))


def _persona(run: RunLog) -> Curve | None:
    gain, repetition = _points(run.validations, "persona_gain"), _points(run.validations, "repetition")
    panels, captions, told = [], [], []
    if gain:
        panels.append(Panel("persona gain", [Line("persona gain", gain, "third", marker="o")], ("", 0.0)))
        captions.append(
            "Persona gain: by how many bits a byte a true line is likelier under its speaker's name than under the "
            "others'. At 0 a name means nothing; higher is better."
        )
        told.append(f"Persona gain {_course(gain)}.")
    if repetition:
        line = Line("repetition", repetition, "fourth", "--", "D")
        panels.append(Panel("repetition", [line], ("", 0.0), height=0.7))
        captions.append(
            "Repetition: the share of 16 sample replies that repeat themselves, looked at only when a checkpoint could "
            "become the best; lower is better."
        )
        told.append(f"Repetition {_course(repetition)}.")
    if not panels:
        return None
    plot = Plot(panels, _minutes(run))
    return Curve("persona", "Who speaks, and loops", " ".join(captions), " ".join(told), plot)


def _corpora(run: RunLog) -> Curve | None:
    names = list({name: None for one in run.validations for name in _corpora_of(one)})
    lines = []
    for name, (colour, style) in zip(names, _CORPUS_STYLES * len(names), strict=False):
        points = _points([one | {"of it": _corpora_of(one).get(name)} for one in run.validations], "of it")
        if points and points[0][1] > 0:
            first = points[0][1]
            changed = [(x, 100 * (value / first - 1)) for x, value in points]
            lines.append(Line(name, changed, colour, style, "o"))
    if len(lines) < 2:
        return None
    caption = (
        "Held-out bits per byte of each corpus against the untouched base, in percent. Below zero the model reads it "
        "better than the base does; a line that climbs again is being forgotten."
    )
    told = "; ".join(f"{line.name}: {signed(line.points[-1][1], 1)} % at the end" for line in lines)
    panel = Panel("% against the base", lines, ("untouched base", 0.0))
    return Curve("corpora", "What is kept, what is forgotten", caption, told + ".", Plot([panel], _minutes(run)))


def _rate(run: RunLog) -> Curve | None:
    rate = _thinned(_points(run.of("train"), "learning_rate"))
    if not rate:
        return None
    begun = decay_began(run)
    caption = "How large a step the weights take: up in the warm-up, level, and down to nothing in the decay"
    caption += (
        f", which began after step {begun['step'] - 1:,}. A good part of what is learned settles only there."
        if begun
        else "; no decay had begun."
    )
    where = _tokens(begun) if begun else None
    marks = [(where, "decay")] if where is not None else []
    alt = f"The learning rate rises to {max(y for _, y in rate):.2g} and ends at {rate[-1][1]:.2g}."
    panel = Panel("learning rate", [Line("learning rate", rate, "held")])
    return Curve("learning_rate", "Learning rate", caption, alt, Plot([panel], _minutes(run), marks))


def decay_began(run: RunLog) -> Record | None:
    """Return the last training record at the highest learning rate, if it fell for good behind it."""
    rows = [one for one in run.of("train") if number(one, "learning_rate") is not None]
    if not rows:
        return None
    highest = max(one["learning_rate"] for one in rows)
    last_high = max(place for place, one in enumerate(rows) if one["learning_rate"] >= 0.999 * highest)
    return rows[last_high] if last_high + 1 < len(rows) else None


def _marks(run: RunLog) -> list[tuple[float, str]]:
    """Name where the best stood and where it stopped: once, where that is the same place."""
    best, last = run.best, run.last
    at_best, at_last = _tokens(best), _tokens(last)
    marks = []
    if best and at_best is not None:
        marks.append((at_best, f"best {best['bits_per_byte']:.3f}"))
    if run.end and at_last is not None:
        if at_last == at_best:
            return [(at_last, f"{marks[0][1]}, stopped here")]
        marks.append((at_last, "stopped"))
    return marks


def _tokens(record: Record | None) -> float | None:
    return number(record, "tokens")


def _points(records: Iterable[Record], key: str) -> Points:
    pairs = ((_tokens(one), number(one, key)) for one in records)
    # A run that went on from before its best keeps the best's record in front of those that follow.
    return sorted((x, y) for x, y in pairs if x is not None and y is not None)


def _minutes(run: RunLog) -> Points:
    """Return (tokens, minutes), ascending."""
    rows = [one for one in run.records if one.get("kind") in ("train", "validation")]
    return _thinned(_points(rows, "minutes"))


def _thinned(points: Sequence[tuple[float, float]]) -> Points:
    """Return at most _MOST_POINTS of the points and one, the last included."""
    every = max(1, -(-len(points) // _MOST_POINTS))
    kept = list(points[::every])
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def _corpora_of(record: Record) -> Record:
    found = record.get("corpora")
    return found if isinstance(found, dict) else {}


def _course(points: Points) -> str:
    if len(points) == 1:
        return f"is {points[0][1]:.3f}"
    lowest = min(points, key=lambda point: point[1])
    through = f" through {lowest[1]:.3f}" if lowest not in (points[0], points[-1]) else ""
    return f"goes from {points[0][1]:.3f}{through} to {points[-1][1]:.3f}"
