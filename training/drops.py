"""What training leaves out of a corpus, counted.

Nothing is judged by rules of its own: every line goes through the functions that training sends it
through, and what they refuse is counted under the reason.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from persona.dialogue import Scene, Turn
from persona.lines import teaches
from training.conversations import DIRECTIONS, Conversation, is_show, said, scene_of
from training.split import Split


@dataclass
class Drop:
    """A reason to leave lines out, their number, and the id of an utterance or scene for an example."""

    reason: str
    lines: int = 0
    example: str = ""

    def add(self, lines: int, example: str) -> None:
        """Count lines."""
        if lines:
            self.lines += lines
            self.example = self.example or example


def cleaning(conversations: Sequence[Conversation]) -> list[Drop]:
    """Count the lines that never reach the corpus's scenes, by reason."""
    show = is_show(conversations)
    directions = Drop(f"directions of a scene ({DIRECTIONS})")
    silent = Drop("nothing but action notes" if show else "empty or deleted")
    joined = Drop("joined to the same speaker's line before")
    alone = Drop("alone in their scene")
    for conversation in conversations:
        aside = [one for one in conversation.utterances if one.speaker.id == DIRECTIONS]
        spoken = [one for one in conversation.utterances if one.speaker.id != DIRECTIONS]
        empty = [one for one in spoken if not said(one.text or "", show=show)]
        turns = len(scene_of(conversation, show=show).turns)
        directions.add(len(aside), str(aside[0].id) if aside else "")
        silent.add(len(empty), str(empty[0].id) if empty else "")
        joined.add(len(spoken) - len(empty) - turns, conversation.id)
        alone.add(turns if turns < 2 else 0, conversation.id)
    return [directions, silent, joined, alone]


def teaching(split: Split, taught: Collection[str] | None, is_too_long: Callable[[Turn], bool]) -> list[Drop]:
    """Count the lines of a corpus's scenes that are not learned, by reason."""
    sides = [
        Drop("held out for validation", _lines(split.validation), _first(split.validation)),
        Drop("held out for the test", _lines(split.test), _first(split.test)),
        Drop("left out as asked", _lines(split.left_out), _first(split.left_out)),
    ]
    long, others = Drop("longer than a window"), Drop("of speakers who are not taught (kept as context)")
    wordless, loops = Drop("without a letter"), Drop("loops of the same words")
    for scene in split.train:
        for turn in scene.turns:
            if is_too_long(turn):
                long.add(1, scene.id)
            elif taught is not None and turn.name not in taught:
                others.add(1, scene.id)
            elif not teaches(turn, {turn.name}):
                (loops if any(map(str.isalpha, turn.text)) else wordless).add(1, scene.id)
    return [*sides, others, long, wordless, loops]


def _lines(scenes: Sequence[Scene]) -> int:
    return sum(len(scene.turns) for scene in scenes)


def _first(scenes: Sequence[Scene]) -> str:
    return scenes[0].id if scenes else ""
