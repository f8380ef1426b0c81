"""What was measured, as Markdown."""

from collections.abc import Mapping, Sequence

from bench.choosing.picks import ALL, Picks
from training.tuning.ablation import Share
from training.tuning.tune import Tuned

_SETS = {
    "same": "of 20, one speaker's",
    "others": "of 10, anybody's",
    "garbled": "of 10, garbled",
    "drawn": "among its own",
}


def markdown(tuned: Tuned, sent: Sequence[Picks], steps: Mapping[str, float]) -> str:
    """Return the tables: what each part is worth and costs, what is sent with and without it, and each step's time."""
    return "\n".join((_worth(tuned), _sent(sent), _steps(steps)))


def _worth(tuned: Tuned) -> str:
    sets = [key for key in _SETS if key in tuned.rows[0].first]
    heads = ["the true line first", "weight", "ms a reply", *(_SETS[key] for key in sets), "change, of 20"]
    rows = [heads, ["---", *("--:" for _ in heads[1:])]]
    weights = tuned.weights.by_part()
    for row in tuned.rows:
        part = row.name.removeprefix("without ")
        weight = f"{weights[part]:.4f}" if part in weights else ""
        cost = f"{tuned.milliseconds[part]:.0f}" if part in tuned.milliseconds else ""
        rows.append([row.name, weight, cost, *(_percent(row.first[key]) for key in sets), _percent(row.difference)])
    return f"{tuned.title}; 95 % intervals over episodes, weights fitted to the other episodes.\n\n{_lines(rows)}"


def _sent(sent: Sequence[Picks]) -> str:
    best = next(one for one in sent if one.name == ALL)
    rows = [["what is sent", "words", "three or fewer", "distinct-2", "sent twice", "as with all parts"]]
    rows.append(["---", *["--:"] * 5])
    for one in sent:
        short, again, same = (f"{100 * value:.0f} %" for value in (one.short(), one.again(), one.same_as(best)))
        rows.append([one.name, f"{one.words():.1f}", short, f"{one.distinct():.3f}", again, same])
    return f"The picks in {len(best.texts)} contexts with two candidates or more.\n\n{_lines(rows)}"


def _steps(steps: Mapping[str, float]) -> str:
    told = ", ".join(f"{step} {1000 * seconds:.0f} ms" for step, seconds in steps.items())
    return f"Medians of a reply's steps, one reply at a time: {told}; {1000 * sum(steps.values()):.0f} ms in all.\n"


def _percent(found: Share) -> str:
    value, low, high = (f"{100 * one:.1f}" for one in found)
    return f"{value} % ({low} to {high})"


def _lines(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
