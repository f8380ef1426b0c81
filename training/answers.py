"""Answers: what several characters say to one message is read in one window, so the message is read once.

Each answer is a branch that sees the message and itself (as in `training.contrast`), at the places that it
would have had alone. So six short answers cost little more than half the tokens of six scenes, and each step
shows side by side what depends on who speaks.
"""

import random
from collections.abc import Iterator, Sequence

from persona.dialogue import Scene, Turn
from persona.lines import teaches
from training.samples import Choice, Sampler, Window, mask_a_speaker


class AnswersSampler(Sampler):
    """Makes windows of exchanges: one of all answers to a message, and of conversations as of other scenes."""

    def epoch(self, scenes: Sequence[Scene], seed: int, epoch: int) -> list[Window]:
        """Return one pass over `scenes`; who asks has another name in each."""
        episodes: dict[str, list[Scene]] = {}
        for scene in scenes:
            episodes.setdefault(scene.episode, []).append(scene)
        windows: list[Window] = []
        for name, together in episodes.items():
            if _answers_one_message(together):
                draw = random.Random(f"{seed}:{epoch}:{name}")  # noqa: S311 - sampling, not secrets
                windows += self._of_answers(together, draw)
            else:
                windows += super().epoch(together, seed, epoch)
        return windows

    def _of_answers(self, scenes: Sequence[Scene], draw: random.Random) -> Iterator[Window]:
        """Yield windows of the message and as many of its answers as have room; what has none alone is left out."""
        shown, _ = mask_a_speaker(scenes[0], self.taught, draw)
        message = self.screenplay.turn(shown.turns[0], learned=False).ids
        answers = [scene.turns[1] for scene in scenes if teaches(scene.turns[1], self.taught or (scene.turns[1].name,))]
        draw.shuffle(answers)
        together: list[Turn] = []
        size = len(message)
        for answer in answers:
            more = len(self.screenplay.header(answer.name)) + len(self.screenplay.said(answer.text))
            if len(message) + more > self.window:
                continue
            if size + more > self.window:
                yield self._read_together(message, together, scenes[0].episode)
                together, size = [], len(message)
            together.append(answer)
            size += more
        if together:
            yield self._read_together(message, together, scenes[0].episode)

    def _read_together(self, message: Sequence[int], answers: Sequence[Turn], episode: str) -> Window:
        ids, learned, choices = list(message), [False] * len(message), []
        for answer in answers:
            header, said = self.screenplay.header(answer.name), self.screenplay.said(answer.text)
            choices.append(Choice(len(ids), len(ids) + len(header), len(ids) + len(header) + len(said), good=True))
            ids += [*header, *said]
            learned += [False] * len(header) + [True] * len(said)
        size = sum(len(answer.text.encode()) for answer in answers)
        return Window(
            tuple(ids), tuple(learned), len(answers), size, episode, repeated=len(ids), choices=tuple(choices)
        )


def _answers_one_message(scenes: Sequence[Scene]) -> bool:
    return len(scenes) > 1 and all(len(one.turns) == 2 and one.turns[0] == scenes[0].turns[0] for one in scenes)
