"""How the trials of a sweep stand: a table, the best recipe, and the command that trains it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.runfolder import replace_text
from training.sweep.search import SHOW_SHARE, Search
from training.sweep.study import Outcome

# What a column is called, what it shows, and how.
_COLUMNS = {
    "learning rate": ("learning_rate", ".3g"),
    "rank": ("rank", "d"),
    "prompt weight": ("prompt_weight", "g"),
    "masked share": ("masked_share", "g"),
    "show's share": (SHOW_SHARE, ".2f"),
    "bits per byte": ("bits_per_byte", ".4f"),
    "persona gain": ("persona_gain", ".4f"),
    "score": ("score", ".4f"),
    "tokens": ("tokens", ",d"),
}
_ABOUT = (
    "The score, lower is better, is that of the best validation: bits per byte minus persona gain, of the show's "
    "held-out episodes (repetition is not looked at: in so few minutes it is chance). Each recipe was trained once, so "
    "neighbours in the table may stand in their order by chance."
)


@dataclass(frozen=True, slots=True)
class Standings:
    """The outcomes of a search, the lowest score first."""

    search: Search
    outcomes: Sequence[Outcome]

    @property
    def done(self) -> int:
        """Return how many trials came to their end or were cut short."""
        return sum(one.state in ("complete", "pruned") for one in self.outcomes)

    @property
    def best(self) -> Outcome | None:
        """Return the trial with the lowest score among those that came to their end."""
        return next((one for one in self.outcomes if one.state == "complete"), None)

    def command(self) -> str | None:
        """Return the command that trains the best recipe, as a shell reads it."""
        return self.search.command_line(self.best.recipe, self.search.out / "best") if self.best else None

    def header(self) -> list[str]:
        """Return the names of the table's columns."""
        return ["trial", "state", *self._columns()]

    def rows(self) -> list[list[str]]:
        """Return the cells of the table, empty where a trial has no such number."""
        return [[str(one.number), one.state, *self._cells(one)] for one in self.outcomes]

    def to_mapping(self) -> dict[str, Any]:
        """Return everything for a program to read."""
        return {
            "done": self.done,
            "of": self.search.trials,
            "trials": [asdict(one) for one in self.outcomes],
            "best": self.best.number if self.best else None,
            "command": self.command(),
        }

    def write(self, file: Path) -> None:
        """Write the table and the command as Markdown."""
        search = self.search
        lines = [
            f"# A sweep: {self.done} of {search.trials} trials of {search.minutes:g} minutes",
            f"{', '.join(search.corpora)}; base {search.base}, persona {search.persona}, seed {search.seed}. {_ABOUT}",
            "",
            _row(self.header()),
            _row(["--:"] * len(self.header())),
            *map(_row, self.rows()),
            *(f"\nTrial {one.number} failed: {one.facts['why']}." for one in self.outcomes if "why" in one.facts),
        ]
        if command := self.command():
            lines += ["", "```sh", command, "```"]
        replace_text(file, "\n".join(lines) + "\n")

    def _columns(self) -> list[str]:
        return [name for name, (key, _) in _COLUMNS.items() if key != SHOW_SHARE or len(self.search.corpora) > 1]

    def _cells(self, outcome: Outcome) -> list[str]:
        known = outcome.facts | outcome.recipe | {"score": outcome.score}
        shown = [(known.get(_COLUMNS[name][0]), _COLUMNS[name][1]) for name in self._columns()]
        return ["" if value is None else format(value, how) for value, how in shown]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
