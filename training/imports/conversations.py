"""A chat never ends; a conversation does. Long silences part a chat into conversations."""

from collections.abc import Sequence
from itertools import pairwise

from training.imports.chat import Message

# A night ends a conversation, a working day's silence between two messages mostly does not.
SILENCE_HOURS = 8.0
_SECONDS_AN_HOUR = 3600.0

Conversation = list[Message]


def conversations(chat: Sequence[Message], silence: float) -> list[Conversation]:
    """Part a chat, in its own order, where nobody writes for `silence` hours.

    A clock that was set to another day, forwards or backwards, ends a conversation too. Within one,
    times never run backwards: a message that is dated before the one in front of it gets its time.
    """
    if not chat:
        return []
    parted: list[Conversation] = [[chat[0]]]
    for earlier, later in pairwise(chat):
        if abs(later.time - earlier.time) >= silence * _SECONDS_AN_HOUR:
            parted.append([later])
        else:
            time = max(later.time, parted[-1][-1].time)
            parted[-1].append(Message(later.sender, later.text, time))
    return parted
