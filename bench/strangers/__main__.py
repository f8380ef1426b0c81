"""Blind judging of what is answered to a stranger: a sheet for readers, and the tally of what they say.

`python -m bench.strangers answer --model MODEL --prompts FILE --out A.jsonl [--untouched]` answers prompts of another
file than an evaluation's (bench/strangers/unseen.toml), which `sheet` then takes, too (`--prompts FILE`). With
`--chats FILE` for both the stranger goes on, whatever is answered, and every reply is judged behind all that was said.
`python -m bench.strangers sheet --replies A.jsonl B.jsonl C.jsonl --out DIR [--names A B C] [--seed 0] [--part 60]`
reads the pieces of three evaluations and writes DIR/sheet.jsonl, DIR/instructions.md and DIR/key.json.
`python -m bench.strangers tally --out DIR --verdicts V1.jsonl V2.jsonl V3.jsonl [--markdown FILE]` prints the figures.

`python -m bench.strangers candidates --replies A.jsonl [B.jsonl] --out DIR` lays all that was drawn before one reader,
`python -m bench.strangers judged --out DIR --verdicts V.jsonl --file F` makes what `echochamber tune --judged F` takes.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.strangers.candidates import candidates_of, judged, read_candidates, write_candidates
from bench.strangers.chats import read_chats
from bench.strangers.pages import figures, instructions, replies
from bench.strangers.sheet import StrangersError, deal, message, prompts_of, read, write
from bench.strangers.tally import tally
from bench.strangers.verdicts import READERS, read_all, read_verdicts
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
    files = dict(zip(given.names, given.replies, strict=True))
    chats = read_chats(given.chats) if given.chats else None
    prompts, shown = (chats.prompts(), chats.shown) if chats else (prompts_of(given.prompts), message)
    dealt = replace(deal(files, given.seed, prompts, shown), chats=len(chats.messages) if chats else 0)
    if not dealt.rows:
        raise StrangersError("all replies are fallback lines: there is nothing to judge")
    write(dealt, given.out, instructions(dealt.rows[0].id), given.part)
    print(
        f"{len(dealt.rows)} of {len(dealt.replies)} replies are on the sheet, the others were fallback lines. "
        f"Give each of {READERS} readers sheet and instructions, and nothing else of {given.out}."
    )


def make_answers(given: argparse.Namespace) -> None:
    """Answer the prompts of a file, or hold its chats."""
    if given.chats and given.rounds != 1:
        raise StrangersError("--rounds is for prompts: each chat is held once")
    from bench.strangers.answer import answer  # noqa: PLC0415 - torch loads here

    asked = read_chats(given.chats) if given.chats else prompts_of(given.prompts)
    answer(given.model, asked, given.rounds, given.out, untouched=given.untouched)


def make_tally(given: argparse.Namespace) -> None:
    """Count what the readers say, print the tables and write them with all replies where asked for."""
    dealt = read(given.out)
    found = tally(dealt, read_all(given.verdicts, {row.id for row in dealt.rows}))
    print(figures(found))
    if given.markdown:
        replace_text(given.markdown, f"{figures(found)}\n{replies(found)}")


def make_candidates(given: argparse.Namespace) -> None:
    """Lay all that was drawn before a reader."""
    rows = candidates_of(given.replies, prompts_of(given.prompts))
    if not rows:
        raise StrangersError("nothing that was drawn passed the guard: there is nothing to judge")
    write_candidates(rows, given.out, instructions(rows[0].id))
    print(f"{len(rows)} candidates are on the sheet in {given.out}: give it and the instructions to one reader.")


def make_judged(given: argparse.Namespace) -> None:
    """Join candidates with what their reader says."""
    rows = read_candidates(given.out)
    replace_text(given.file, judged(rows, read_verdicts(given.verdicts, {row.id for row in rows})))


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    _of_sheet(commands.add_parser("sheet", help="shuffle the replies of several evaluations into a sheet for readers"))
    _of_answer(commands.add_parser("answer", help="answer the prompts of a file as the bot would, or hold its chats"))
    drawn = commands.add_parser("candidates", help="lay all that was drawn for each prompt before one reader")
    drawn.add_argument("--replies", type=Path, nargs="+", required=True, help="files of `answer`, or of evaluations")
    drawn.add_argument("--prompts", type=Path, help="the prompts that were answered, if not an evaluation's")
    drawn.add_argument("--out", type=Path, required=True)
    drawn.set_defaults(run=make_candidates)
    joined = commands.add_parser("judged", help="join candidates and verdicts into a file for `echochamber tune`")
    joined.add_argument("--out", type=Path, required=True, help="the folder of the candidates")
    joined.add_argument("--verdicts", type=Path, required=True)
    joined.add_argument("--file", type=Path, required=True, help="the file to write")
    joined.set_defaults(run=make_judged)
    counted = commands.add_parser("tally", help="count what the readers say")
    counted.add_argument("--out", type=Path, required=True, help="the folder of the sheet")
    counted.add_argument("--verdicts", type=Path, nargs=READERS, required=True)
    counted.add_argument("--markdown", type=Path, help="write the tables and all replies here")
    counted.set_defaults(run=make_tally)
    return parser.parse_args(given)


def _of_sheet(sheet: argparse.ArgumentParser) -> None:
    sheet.add_argument("--replies", type=Path, nargs="+", required=True, help="pieces.jsonl of each evaluation")
    sheet.add_argument("--names", nargs="+", default=NAMES, help="theirs; the last is what the others are compared to")
    sheet.add_argument("--out", type=Path, required=True)
    sheet.add_argument("--seed", type=int, default=0)
    sheet.add_argument("--part", type=int, help="cut the sheet into parts of so many rows, too")
    asked = sheet.add_mutually_exclusive_group()
    asked.add_argument("--prompts", type=Path, help="the prompts that were answered, if not an evaluation's")
    asked.add_argument("--chats", type=Path, help="the chats that were held")
    sheet.set_defaults(run=make_sheet)


def _of_answer(answers: argparse.ArgumentParser) -> None:
    answers.add_argument("--model", type=Path, required=True)
    asked = answers.add_mutually_exclusive_group(required=True)
    asked.add_argument("--prompts", type=Path, help="TOML, headings over lists of texts")
    asked.add_argument("--chats", type=Path, help="TOML, headings over lists of a chat's messages, as many in each")
    answers.add_argument("--rounds", type=int, default=1, help="how often each prompt is answered")
    answers.add_argument("--out", type=Path, required=True, help="the file of the replies")
    answers.add_argument("--untouched", action="store_true", help="the model's untouched base answers instead")
    answers.set_defaults(run=make_answers)


def main(given: Sequence[str] | None = None) -> None:
    """Deal or count."""
    asked = _arguments(given)
    try:
        asked.run(asked)
    except (CardError, EngineError, OSError, SettingsError, StrangersError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
