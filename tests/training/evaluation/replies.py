"""Conversations in made-up words, and what different bots say in them."""

import random
from collections.abc import Callable, Sequence

from persona.characters import friends
from persona.dialogue import Scene, Turn
from training.evaluation.figures import Figure, Measure
from training.evaluation.pieces import Draft, Generated
from training.evaluation.plan import Ask

Pairs = list[tuple[Ask, Generated]]
SYLLABLES = ("ba", "ki", "lo", "mu", "ne", "po", "ru", "sa", "ti", "vo")
WORDS = [first + second + third for first in SYLLABLES for second in SYLLABLES for third in SYLLABLES]
DRAW_EPISODES = 10


def asks(count: int = 200) -> list[Ask]:
    """Return contexts whose true line shares two of its six words with the message."""
    draw = random.Random(0)
    found = []
    for number in range(count):
        words = draw.choices(WORDS, k=13)
        earlier, message, said = words[:3], words[3:9], words[7:]
        scene = Scene((Turn("Joey Tribbiani", " ".join(earlier)), Turn("Ann", " ".join(message))))
        episode = f"s01_e{number % DRAW_EPISODES:02d}"
        found.append(Ask("scene", number, episode, scene, friends()[number % 6], " ".join(said)))
    return found


def reply(ask: Ask, text: str, drafts: Sequence[str] = (), finish_reason: str = "stop") -> tuple[Ask, Generated]:
    """Return a reply that was sent, and its candidates: itself where none are given."""
    kept = tuple(Draft(one, "stop", None) for one in drafts or (text,))
    return ask, Generated(ask.kind, ask.number, text, finish_reason, False, kept)


def fallback(ask: Ask, *drafts: str) -> tuple[Ask, Generated]:
    """Return a fallback line, all of its candidates refused."""
    kept = tuple(Draft(one, "stop", "loop") for one in drafts)
    return ask, Generated(ask.kind, ask.number, "", "stop", True, kept)


def says(bot: Callable[[Ask], str], count: int = 200) -> Pairs:
    """Return what `bot` says to all."""
    return [reply(ask, bot(ask)) for ask in asks(count)]


def true_line(ask: Ask) -> str:
    """Say what was truly said."""
    return ask.said


def parrot(ask: Ask) -> str:
    """Say the message back."""
    return ask.message


def bland(ask: Ask) -> str:
    """Say the same to everybody."""
    return "I don't know."


def shuffled(pairs: Pairs) -> Pairs:
    """Return every reply as one to somebody else's message."""
    return [reply(ask, other.text) for (ask, _), (_, other) in zip(pairs, [*pairs[7:], *pairs[:7]], strict=True)]


def by_key(measure: Measure) -> dict[str, Figure]:
    """Return the figures by their keys."""
    return {one.key: one for one in measure.figures}
