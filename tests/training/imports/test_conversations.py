"""Long silences part a chat."""

from training.imports.chat import Message
from training.imports.conversations import conversations

HOUR = 3600


def parted(*hours: float, silence: float = 8) -> list[list[float]]:
    chat = [Message("a", "", hour * HOUR) for hour in hours]
    return [[message.time / HOUR for message in one] for one in conversations(chat, silence)]


def test_a_silence_of_so_many_hours_ends_a_conversation() -> None:
    assert parted(0, 1, 8, 16, 30) == [[0, 1, 8], [16], [30]]
    assert parted(0, 1, 8, 16, 30, silence=1) == [[0], [1], [8], [16], [30]]
    assert parted(0, 1, 8, 16, 30, silence=99) == [[0, 1, 8, 16, 30]]
    assert parted() == []


def test_a_clock_set_back_keeps_the_order_and_another_day_ends_a_conversation() -> None:
    assert parted(3, 2, 2.5, 3.5) == [[3, 3, 3, 3.5]]
    assert parted(0, 9999, 1, 2) == [[0], [9999], [1, 2]]
