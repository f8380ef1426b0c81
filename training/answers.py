"""Answers: what several characters say to one message is read in one window, so the message is read once.

Each answer is a branch that sees the message and itself (as in `training.contrast`), at the places that it
would have had alone. So six short answers cost little more than half the tokens of six scenes, and each step
shows side by side what depends on who speaks.
"""

import random
from collections.abc import Iterator, Sequence

from persona.dialogue import Scene, Turn
from persona.lines import teaches
from training.samples import Sampler, mask_a_speaker
from training.windows import Reply, Window, together


class AnswersSampler(Sampler):
    """Makes windows of exchanges: one of all answers to a message, and of conversations as of other scenes."""

    def epoch(self, scenes: Sequence[Scene], seed: int, epoch: int) -> list[Window]:
        """Return one pass over `scenes`; who asks has another name in each."""
        episodes: dict[str, list[Scene]] = {}
        for scene in scenes:
            episodes.setdefault(scene.episode, []).append(scene)
        windows: list[Window] = []
        for name, answering in episodes.items():
            if _answers_one_message(answering):
                draw = random.Random(f"{seed}:{epoch}:{name}")  # noqa: S311 - sampling, not secrets
                windows += self._of_answers(answering, draw)
            else:
                windows += super().epoch(answering, seed, epoch)
        return windows

    def _of_answers(self, scenes: Sequence[Scene], draw: random.Random) -> Iterator[Window]:
        """Yield windows of the message and as many of its answers as have room; what has none alone is left out."""
        shown, _ = mask_a_speaker(scenes[0], self.taught, draw)
        message = self.screenplay.turn(shown.turns[0], learned=False).ids
        answers = [scene.turns[1] for scene in scenes if teaches(scene.turns[1], self.taught or (scene.turns[1].name,))]
        draw.shuffle(answers)
        room = self.window - len(message)
        chosen: list[Reply] = []
        for reply in map(self._reply, answers):
            if reply.tokens > room:
                continue
            if sum(one.tokens for one in chosen) + reply.tokens > room:
                yield together(message, chosen, scenes[0].episode)
                chosen = []
            chosen.append(reply)
        if chosen:
            yield together(message, chosen, scenes[0].episode)

    def _reply(self, turn: Turn) -> Reply:
        return Reply(self.screenplay.header(turn.name), self.screenplay.said(turn.text), len(turn.text.encode()))


def _answers_one_message(scenes: Sequence[Scene]) -> bool:
    return len(scenes) > 1 and all(len(one.turns) == 2 and one.turns[0] == scenes[0].turns[0] for one in scenes)
