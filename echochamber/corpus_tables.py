"""What `echochamber corpus` prints for people: tables on stdout."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from persona.harmless import harmless

if TYPE_CHECKING:
    from training.drops import Drop
    from training.imports.importer import Imported
    from training.inspection import Inspection, Speaker
    from training.token_budget import TokenBudget


def next_command(imported: "Imported") -> str:
    """Return the command that teaches the speaker with the most lines, to be pasted."""
    words = ["--corpus", str(imported.folder), "--persona", next(iter(imported.speakers)), "--out", "runs/mine"]
    return shlex.join(["echochamber", "train", *words])


def print_imported(imported: "Imported", top: int) -> None:
    """Print what was imported, what was left out, and how to go on."""
    total = sum(imported.speakers.values())
    _say(
        f"{imported.folder}: {imported.conversations:,} conversations from {imported.messenger}, {imported.talks:,} of "
        f"them between two people or more; {total:,} lines."
    )
    table = _table("speaker", "lines", "share")
    for name, lines in list(imported.speakers.items())[:top]:
        table.add_row(_safe(name), f"{lines:,}", _share(lines, total))
    _print(table, len(imported.speakers) - top)
    for reason, number in imported.dropped.items():
        _say(f"Left out: {number:,} {reason}.")
    for remark in imported.remarks:
        _say(remark)
    _say(f"To teach {harmless(next(iter(imported.speakers)))}:\n  {next_command(imported)}")


def print_inspection(found: "Inspection", top: int) -> None:
    """Print what is in a corpus, the way of its lines, and a pass's budget."""
    _say(
        f"{found.corpus}: {found.conversations:,} conversations, {found.scenes:,} scenes of two turns or more, "
        f"{found.units:,} {found.unit}s to split, {len(found.speakers):,} speakers."
    )
    _print_speakers(found.speakers, found.lines, top)
    lengths = _table("", "median", "90 % at most", "longest")
    for what, spread in (("turns a scene", found.turns_a_scene), ("words a line", found.words_a_line)):
        lengths.add_row(what, f"{spread.median:,}", f"{spread.p90:,}", f"{spread.most:,}")
    _print(lengths)
    _print_way(found)
    if found.held_out:
        held_out = ", ".join(f"{number:,} for {side}" for side, number in found.held_out.items() if number)
        _say(f"Held out, whole {found.unit}s: {held_out}.")
    if len(found.seasons) > 1:
        _say(f"Seasons: {', '.join(f'{season} ({number:,})' for season, number in found.seasons.items())}.")
    if found.budget:
        _print_budget(found.budget)


def _print_speakers(speakers: Sequence["Speaker"], lines: int, top: int) -> None:
    table = _table("speaker", "lines", "words", "share of lines", "")
    for speaker in speakers[:top]:
        row = (f"{speaker.lines:,}", f"{speaker.words:,}", _share(speaker.lines, lines))
        table.add_row(_safe(speaker.name), *row, "taught" if speaker.taught else "")
    _print(table, len(speakers) - top)


def _print_way(found: "Inspection") -> None:
    """Print how many lines stand in the files, what becomes of them, and how many are learned."""
    table = _table("lines", "", "for example")
    table.columns[0].justify, table.columns[1].justify = "right", "left"
    table.add_row(f"{found.found:,}", "in the files")
    _add_drops(table, found.cleaning)
    table.add_row(f"{found.lines:,}", "in scenes", end_section=True)
    if found.teaching:
        _add_drops(table, found.teaching)
        table.add_row(f"{found.taught:,}", "teach")
    _print(table)


def _add_drops(table: Table, drops: Sequence["Drop"]) -> None:
    for drop in drops:
        if drop.lines:
            table.add_row(f"-{drop.lines:,}", drop.reason, _safe(drop.example))


def _print_budget(budget: "TokenBudget") -> None:
    _say(
        f"A pass with the base {budget.base}, names masked as in training: {budget.read:,} tokens in windows of at "
        f"most {budget.window}, {budget.learned:,} of them learned ({_share(budget.learned, budget.read)}); "
        f"{budget.steps:,} steps of at most {budget.step:,} tokens, {budget.read / budget.steps:,.0f} on average."
    )
    if budget.minutes is None:
        _say("Minutes a pass: give --rate, tokens a second or the folder of a run that measured them.")
    else:
        _say(
            f"Minutes a pass: about {budget.minutes:,.0f}, an estimate at {budget.rate:,.0f} tokens a second "
            f"({budget.rate_from}), validations and saving not counted."
        )


def key_lines(key: Mapping[str, str]) -> list[str]:
    """Return the sentences that tell who is who."""
    told = [f"  {harmless(name)} is {pseudonym}" for name, pseudonym in key.items()]
    return ["Who is who is told here only; no file holds it:", *told]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number and column else "left")
    return table


def _print(table: Table, more: int = 0) -> None:
    console = Console()
    console.print(table)
    console.print(f"and {more:,} more\n" if more > 0 else "")


def _say(sentence: str) -> None:
    Console().print(sentence, markup=False, highlight=False, soft_wrap=True)


def _safe(name: str) -> Text:
    """Return a name from a stranger's file as text that cannot move the cursor or set a style."""
    return Text(harmless(name))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"
