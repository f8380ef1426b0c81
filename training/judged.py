"""Replies that readers judged: what a model drew itself, and which of it they would have wanted to be sent.

True lines teach what the show is like; only readers can say which of eight answers to a stranger is a good one
(Stiennon et al. 2020, "Learning to summarize from human feedback", learn from what people prefer).
`echochamber tune --judged` fits the ranking to them, `echochamber train --judged` the model itself.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona.card import Card
from persona.characters import Persona
from persona.dialogue import Scene, Turn
from persona.harmless import GUEST
from training.corpus import Corpus, CorpusError
from training.split import Split, split_scenes

NAME = "judged replies"  # no corpus is called so: its name is a folder's
FEWEST = 2
_FIELDS = ("prompt", "character", "reply", "counts")


@dataclass(frozen=True, slots=True)
class Judged:
    """What `persona` answered to a stranger: `good` replies count, `bad` ones do not.

    `said` are the turns so far, the stranger's and the persona's in turn; the last is the stranger's.
    """

    said: tuple[str, ...]
    persona: Persona
    good: tuple[str, ...]
    bad: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return a name that no other context has: who is asked, and all that was said."""
        return json.dumps([self.persona.id, *self.said])

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Return what was said so far as turns."""
        return tuple(Turn((GUEST, self.persona.name)[at % 2], text) for at, text in enumerate(self.said))

    @property
    def scene(self) -> Scene:
        """Return the turns with a good reply behind them; to whomever it was said, one first message is one episode."""
        episode = hashlib.sha256(self.said[0].encode()).hexdigest()
        return Scene((*self.turns, Turn(self.persona.name, self.good[0])), self.name, episode)


def read_judged(file: Path, personas: Sequence[Persona]) -> list[Judged]:
    """Read a file of JSON lines, each a `prompt`, a `character` (id or name), a `reply`, and whether it `counts`.

    A prompt is a stranger's first message, or a list of all that both said before the reply, the first and
    the last by the stranger. Of prompts whose replies all count, or none of them, nothing can be learned:
    they are left out. Raises CorpusError in one sentence.
    """
    known = {name: one for one in personas for name in (one.id, one.name)}
    found: dict[tuple[tuple[str, ...], str], dict[str, bool]] = {}
    for number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        row = _row(line)
        if row is None:
            raise CorpusError(f"line {number} of {file} is no judged reply: it needs {', '.join(_FIELDS)}")
        if persona := known.get(row["character"]):
            prompt = row["prompt"]
            said = (prompt,) if isinstance(prompt, str) else tuple(prompt)
            found.setdefault((said, persona.id), {})[row["reply"]] = row["counts"]
    judged = [
        Judged(
            said,
            known[who],
            tuple(text for text, counts in replies.items() if counts),
            tuple(text for text, counts in replies.items() if not counts),
        )
        for (said, who), replies in found.items()
    ]
    judged = [one for one in judged if one.good and one.bad]
    if len(judged) < FEWEST:
        raise CorpusError(f"{file} has too few messages to which the characters gave both good and bad replies")
    return judged


def judged_corpus(judged: Sequence[Judged]) -> Corpus:
    """Return judged replies as a corpus, a scene for each prompt; its checksum is over all that was judged."""
    text = json.dumps([[one.name, one.good, one.bad] for one in judged])
    return Corpus(NAME, hashlib.sha256(text.encode()).hexdigest(), tuple(one.scene for one in judged), "conversation")


def split_judged(corpus: Corpus, file: Path | None) -> Split:
    """Split judged replies by the stranger's first message; raises CorpusError where there are not three."""
    try:
        return split_scenes(corpus)
    except CorpusError as error:
        raise CorpusError(f"{file} has replies to fewer than three first messages: none could be held out") from error


def learned_judged(card: Card) -> frozenset[str]:
    """Return the checksums of the judged replies that a checkpoint learned from, in any stage or part of a mean."""
    stages: list[Any] = [card.training]
    found = set()
    while stages:
        stage = stages.pop()
        if isinstance(stage, Mapping):
            found |= {str(stage["judged"])} if stage.get("judged") else set()
            stages += [stage.get("start_from"), stage.get("before"), *(stage.get("averaged") or ())]
    return frozenset(found)


def held_out_of(judged: Sequence[Judged], learned: Collection[str], file: Path | None) -> list[Judged]:
    """Return those that a model held out, if one of `learned`, checksums of what it learned from, is theirs; else all.

    Raises CorpusError where they answer one first message alone: what is fitted to one is judged by another.
    """
    corpus = judged_corpus(judged)
    taught = {scene.id for scene in split_judged(corpus, file).train} if corpus.sha256 in learned else set()
    left = [one for one in judged if one.name not in taught]
    if len({one.said[0] for one in left}) < FEWEST:
        raise CorpusError(f"{file} has too few first messages that the model did not learn from: it takes {FEWEST}")
    return left


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"the judged replies in {file} cannot be read: {error}") from error


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict):
        return None
    prompt = row.get("prompt")
    said = prompt if isinstance(prompt, list) else [prompt]
    texts = [*said, row.get("character"), row.get("reply")]
    fits = len(said) % 2 == 1 and all(isinstance(one, str) for one in texts) and isinstance(row.get("counts"), bool)
    return row if fits else None
