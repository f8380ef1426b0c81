"""The numbers of a run's report, ready to be shown: every value is a text."""

from typing import NamedTuple

from training.report import story
from training.report.runlog import Record, RunLog
from training.words import counted, held_out, nameless, number, percent, signed

_NOTHING = "–"
_DECAYS = "the learning rate begins to decay"


class Tile(NamedTuple):
    """A key number and what it counts."""

    value: str
    label: str


class Measure(NamedTuple):
    """A row of the table of measures: how it is called, its values, and the best's distance from the base."""

    name: str
    values: list[str]
    change: str


class CorpusRow(NamedTuple):
    """A corpus as it was used."""

    name: str
    weight: str
    scenes: str
    taught: str
    held_out: str
    sha256: str


def tiles(run: RunLog) -> list[Tile]:
    """Return the numbers that stand at the top."""
    best, untouched = number(run.best, "bits_per_byte"), number(run.untouched, "bits_per_byte")
    distance = Tile(_NOTHING, "held-out bits against the untouched base")
    if best and untouched:
        told = f"{best:.3f} bits a held-out byte; the untouched base: {untouched:.3f}"
        distance = Tile(percent(best, untouched), told)
    gain, tokens, learned = number(run.best, "persona_gain"), run.latest("tokens"), run.latest("learned")
    starts = len(run.of("start"))
    said = _NOTHING if gain is None else signed(gain)
    return [
        distance,
        Tile(said, "persona gain, in bits a byte: how much a speaker's name tells"),
        Tile(
            f"{run.minutes:,.0f} min" if run.minutes >= 1 else "< 1 min", f"of work in {counted(starts or 1, 'start')}"
        ),
        Tile(_NOTHING if tokens is None else f"{tokens:,.0f}", "tokens read"),
        Tile(_NOTHING if learned is None else f"{learned:,.0f}", "of these tokens were learned"),
        _passes(run),
    ]


def _passes(run: RunLog) -> Tile:
    """Return the passes over the first corpus: those begun where only their number is on record."""
    show = (story.corpus_names(run) or [""])[0]
    epochs = [one["epoch"] for one in run.of("train") if one.get("corpus", show) == show and "epoch" in one]
    if not epochs:
        return Tile(_NOTHING, "passes over the training scenes")
    if isinstance(epochs[-1], int):
        return Tile(f"{epochs[-1] + 1:,}", f"{'pass' if epochs[-1] == 0 else 'passes'} over the training scenes begun")
    return Tile(f"{epochs[-1]:.2f}", "passes over the training scenes")


def columns(run: RunLog) -> list[tuple[str, Record]]:
    """Return the validations to compare: the base, the best, and the last where it is another one."""
    columns = [("untouched base", run.untouched)] if run.untouched else []
    for name, one in (("best", run.best), ("last", run.last)):
        if one and not any(one is other for _, other in columns):
            columns.append((f"{name}, step {one.get('step', 0):,}", one))
    return columns


def measures(run: RunLog) -> list[Measure]:
    """Return every measure of the columns, but those that were never taken."""
    records = [one for _, one in columns(run)]
    rows = [
        _measure("bits per byte, held out", records, "bits_per_byte", relative=True),
        _measure("perplexity a token, held out", records, "perplexity", digits=2, relative=True),
        _measure("bits per byte, training sample", records, "train_bits_per_byte", relative=True),
        _measure("persona gain (higher is better)", records, "persona_gain"),
        _measure("repetition in 16 replies", records, "repetition", digits=2),
        _measure("score, by which the best is chosen", records, "score"),
    ]
    corpora = [one["corpora"] if isinstance(one.get("corpora"), dict) else {} for one in records]
    names = list({name: None for one in corpora for name in one})
    if len(names) > 1:
        rows += [_measure(f"bits per byte, {name}", corpora, name, relative=True) for name in names]
    return [row for row in rows if any(value != _NOTHING for value in row.values)]


def _measure(name: str, records: list[Record], key: str, *, digits: int = 4, relative: bool = False) -> Measure:
    found = [number(one, key) for one in records]
    change = ""
    if len(found) > 1 and found[0] is not None and found[1] is not None:
        change = percent(found[1], found[0]) if relative and found[0] else signed(found[1] - found[0], digits)
    return Measure(name, [_NOTHING if value is None else f"{value:.{digits}f}" for value in found], change)


def interval(run: RunLog) -> str:
    """Return the interval that `compare` measured, where it stands in the card."""
    measures = run.card.measures if run.card else {}
    low, high = number(measures, "ratio_low"), number(measures, "ratio_high")
    if low is None or high is None:
        return ""
    return f"95 % interval of the difference in bits per byte: {percent(low, 1)} to {percent(high, 1)}."


def talks(run: RunLog) -> dict[str, list[Record]]:
    """Return the sample replies by the message they answer."""
    talks: dict[str, list[Record]] = {}
    for one in run.replies:
        talks.setdefault(str(one.get("message", "")), []).append(
            {"character": str(one.get("character", "")), "reply": str(one.get("reply") or "")}
        )
    return talks


def corpora(run: RunLog) -> list[CorpusRow]:
    """Return the corpora of the card."""
    rows = []
    for place, one in enumerate(run.card.data if run.card else ()):
        split = {**(run.card.split if run.card and place == 0 else {}), **(one.get("split") or {})}
        weight, scenes = number(one, "weight"), number(one, "scenes")
        rows.append(
            CorpusRow(
                nameless(str(one.get("name", "a corpus"))),
                _NOTHING if weight is None else f"{100 * weight:.0f} %",
                _NOTHING if scenes is None else f"{scenes:,.0f}",
                str(one.get("taught", "characters")),
                "; ".join(held_out(split)) or _NOTHING,
                str(one.get("sha256", ""))[:12],
            )
        )
    return rows


def base(run: RunLog) -> str:
    """Return which base was taught, with its checksum and the format."""
    name = story.base_name(run)
    if not run.card:
        return name
    weights = f", {run.card.base.weights} weights" if run.card.base.weights else ""
    return f"{name}{weights} (SHA-256 {run.card.base.sha256[:12]}…), in the format {run.card.format}"


def course(run: RunLog) -> list[str]:
    """Return the starts, the decay and the ends, in order."""
    told: list[str] = []
    for one in run.records:
        at = f"minute {number(one, 'minutes') or 0:.0f}, step {number(one, 'step') or 0:,.0f}: "
        if one.get("kind") == "start":
            told.append(at + ("gone on with" if told else "started"))
        elif one.get("kind") == "end":
            told.append(at + f"ended ({one.get('reason', 'no reason on record')})")
        elif one.get("what") == "decay" and not (told and told[-1].endswith(_DECAYS)):
            told.append(at + _DECAYS)
    return told
