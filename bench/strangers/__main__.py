"""Blind judging of what is answered to a stranger: a sheet for readers, and the tally of what they say.

`python -m bench.strangers answer --model MODEL --prompts FILE --out A.jsonl [--untouched]` answers prompts of another
file than an evaluation's (bench/strangers/unseen.toml), which `sheet` then takes, too (`--prompts FILE`).
`python -m bench.strangers sheet --replies A.jsonl B.jsonl C.jsonl --out DIR [--names A B C] [--seed 0] [--part 60]`
reads the pieces of three evaluations and writes DIR/sheet.jsonl, DIR/instructions.md and DIR/key.json.
`python -m bench.strangers tally --out DIR --verdicts V1.jsonl V2.jsonl V3.jsonl [--markdown FILE]` prints the figures.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.strangers.pages import figures, instructions, replies
from bench.strangers.sheet import StrangersError, deal, prompts_of, read, write
from bench.strangers.tally import tally
from bench.strangers.verdicts import READERS, read_all
from bot.engine.protocol import EngineError
from bot.settings import SettingsError
from persona.card import CardError
from training.runfolder import replace_text

NAMES = ("the model that ships", "the untouched base", "the copied recipe")


def make_sheet(given: argparse.Namespace) -> None:
    """Deal a sheet into OUT."""
    if len(set(given.names)) < len(given.replies) or len(given.names) != len(given.replies):
        raise StrangersError(f"give as many different --names as --replies: {len(given.replies)}")
    if given.part is not None and given.part < 1:
        raise StrangersError(f"--part must be at least 1, not {given.part}")
    dealt = deal(dict(zip(given.names, given.replies, strict=True)), given.seed, prompts_of(given.prompts))
    if not dealt.rows:
        raise StrangersError("all replies are fallback lines: there is nothing to judge")
    write(dealt, given.out, instructions(dealt.rows[0].id), given.part)
    print(
        f"{len(dealt.rows)} of {len(dealt.replies)} replies are on the sheet, the others were fallback lines. "
        f"Give each of {READERS} readers sheet and instructions, and nothing else of {given.out}."
    )


def make_answers(given: argparse.Namespace) -> None:
    """Answer the prompts of a file."""
    from bench.strangers.answer import answer  # noqa: PLC0415 - torch loads here

    answer(given.model, prompts_of(given.prompts), given.rounds, given.out, untouched=given.untouched)


def make_tally(given: argparse.Namespace) -> None:
    """Count what the readers say, print the tables and write them with all replies where asked for."""
    dealt = read(given.out)
    found = tally(dealt, read_all(given.verdicts, {row.id for row in dealt.rows}))
    print(figures(found))
    if given.markdown:
        replace_text(given.markdown, f"{figures(found)}\n{replies(found)}")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    sheet = commands.add_parser("sheet", help="shuffle the replies of several evaluations into a sheet for readers")
    sheet.add_argument("--replies", type=Path, nargs="+", required=True, help="pieces.jsonl of each evaluation")
    sheet.add_argument("--names", nargs="+", default=NAMES, help="theirs; the last is what the others are compared to")
    sheet.add_argument("--out", type=Path, required=True)
    sheet.add_argument("--seed", type=int, default=0)
    sheet.add_argument("--part", type=int, help="cut the sheet into parts of so many rows, too")
    sheet.set_defaults(run=make_sheet)
    sheet.add_argument("--prompts", type=Path, help="the prompts that were answered, if not an evaluation's")
    answers = commands.add_parser("answer", help="answer the prompts of a file as the bot would")
    answers.add_argument("--model", type=Path, required=True)
    answers.add_argument("--prompts", type=Path, required=True, help="TOML, headings over lists of texts")
    answers.add_argument("--rounds", type=int, default=1, help="how often each prompt is answered")
    answers.add_argument("--out", type=Path, required=True, help="the file of the replies")
    answers.add_argument("--untouched", action="store_true", help="the model's untouched base answers instead")
    answers.set_defaults(run=make_answers)
    counted = commands.add_parser("tally", help="count what the readers say")
    counted.add_argument("--out", type=Path, required=True, help="the folder of the sheet")
    counted.add_argument("--verdicts", type=Path, nargs=READERS, required=True)
    counted.add_argument("--markdown", type=Path, help="write the tables and all replies here")
    counted.set_defaults(run=make_tally)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Deal or count."""
    asked = _arguments(given)
    try:
        asked.run(asked)
    except (CardError, EngineError, OSError, SettingsError, StrangersError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
