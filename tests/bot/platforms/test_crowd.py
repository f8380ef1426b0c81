"""A flood in one place: what is answered, what is told once, what is left."""

from contextlib import ExitStack

from bot.conversation import Address
from bot.platforms.crowd import Crowd

HERE, THERE = Address("telegram", "1", "-5"), Address("telegram", "1", "-6")


def test_what_is_too_much_is_told_once_and_left_until_the_flood_is_over() -> None:
    crowd = Crowd(most=2)
    with ExitStack() as under_way:
        entries = [under_way.enter_context(crowd.entry(HERE)) for _ in range(5)]
        assert entries == ["answer", "answer", "say busy", "leave", "leave"]
        with crowd.entry(THERE) as elsewhere:
            assert elsewhere == "answer"
    with crowd.entry(HERE) as again:
        assert again == "answer"


def test_a_flood_is_over_when_half_of_it_is_answered() -> None:
    crowd = Crowd(most=2)
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(crowd.entry(HERE))
        second.enter_context(crowd.entry(HERE))
        with crowd.entry(HERE) as told:
            assert told == "say busy"
        first.close()
        with crowd.entry(HERE) as answered, crowd.entry(HERE) as told_anew:
            assert (answered, told_anew) == ("answer", "say busy")


def test_who_comes_while_there_is_room_is_answered_and_the_same_flood_is_not_told_twice() -> None:
    crowd = Crowd(most=1)
    with crowd.entry(HERE):
        with crowd.entry(HERE) as told:
            assert told == "say busy"
        with crowd.entry(HERE) as left:
            assert left == "leave"
    with crowd.entry(HERE), crowd.entry(HERE) as told_anew:
        assert told_anew == "say busy"
