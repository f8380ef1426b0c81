"""All that was drawn for prompts, for one reader to judge: what `echochamber tune --judged` learns a ranking from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.strangers.sheet import INSTRUCTIONS, SHEET, Row, StrangersError, asks_of, lines, read_replies
from bench.strangers.verdicts import Verdict
from training.evaluation.strangers import Prompt
from training.runfolder import replace_text


def candidates_of(files: Sequence[Path], prompts: Sequence[Prompt]) -> list[Row]:
    """Return each text that passed the guard in one of the files of replies, once for each prompt, in its order.

    Raises StrangersError.
    """
    rows: list[Row] = []
    said = [read_replies(file) for file in files]
    rounds = -(-(1 + max(max(one) for one in said)) // len(prompts))
    found: dict[tuple[str, str], dict[str, None]] = {}
    for ask in asks_of(prompts, rounds):
        texts = found.setdefault((ask.message, ask.persona.name), {})
        for replies in said:
            drafts = replies[ask.number].drafts if ask.number in replies else ()
            texts |= dict.fromkeys(" ".join(one.text.split()) for one in drafts if one.refusal is None)
    for at, ((prompt, character), texts) in enumerate(found.items(), start=1):
        rows += [Row(f"{at}.{number}", prompt, character, text) for number, text in enumerate(texts, start=1)]
    return rows


def write_candidates(rows: Sequence[Row], folder: Path, instructions: str) -> None:
    """Write the rows and the instructions for their reader into `folder`; raises StrangersError if it has some."""
    if (folder / SHEET).exists():
        raise StrangersError(f"{folder} holds a sheet already, which may have been judged: give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / SHEET, lines(rows))
    replace_text(folder / INSTRUCTIONS, instructions)


def read_candidates(folder: Path) -> list[Row]:
    """Read the rows back; raises StrangersError."""
    try:
        return [Row(**json.loads(line)) for line in (folder / SHEET).read_text(encoding="utf-8").splitlines()]
    except (OSError, TypeError, ValueError) as error:
        raise StrangersError(f"{folder} holds no readable sheet of candidates ({type(error).__name__})") from error


def judged(rows: Sequence[Row], verdicts: Mapping[str, Verdict]) -> str:
    """Return the rows as `tune` reads them: whether each reply counts, which is to be sensible and in character."""
    told = (
        {"prompt": one.prompt, "character": one.character, "reply": one.reply, "counts": verdicts[one.id].both}
        for one in rows
    )
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in told)
