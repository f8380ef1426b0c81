"""A small show of our own words, with enough lines of one length to tell them apart."""

from itertools import product

from persona.dialogue import Scene, Turn

JOEY, MONICA = "Joey Tribbiani", "Monica Geller"
_WHO = ("nobody", "somebody", "everybody", "my uncle", "the baker", "a pigeon")
_WHAT = ("wants the soup", "broke a bowl", "sang all day", "lost a spoon", "fed the duck", "ate my hat")
_WHEN = ("today", "again", "at noon", "too soon")


def play(episodes: int = 60, speakers: tuple[str, ...] = (JOEY, MONICA)) -> tuple[Scene, ...]:
    """Return one scene of fourteen turns an episode; the same line stands in several of them."""
    lines = [" ".join(one) for one in product(_WHO, _WHAT, _WHEN)]
    scenes = []
    for number in range(episodes):
        words = [lines[(7 * number + 5 * at) % len(lines)] for at in range(14)]
        turns = tuple(Turn(speakers[at % len(speakers)], text) for at, text in enumerate(words))
        scenes.append(Scene(turns, f"s01_e{number:02d}_c01", f"s01_e{number:02d}"))
    return tuple(scenes)
