"""What every history promises, held against Redis and against memory alike."""

from dataclasses import replace

import pytest

from bot.conversation import Address, ConversationHistory, StoredTurn
from bot.ephemeral import EphemeralHistory
from bot.history import History

A = Address("telegram", "1", "-100")
TOPIC = replace(A, thread="5")
OTHER_BOT = replace(A, bot_id="2")


def asked(text: str, author: str = "7", message: str | None = None, persona: str = "joey") -> StoredTurn:
    return StoredTurn("user", author, "Sam", text, message or text, "2026-01-02T03:04:05+00:00", persona)


def said(text: str, answers: str, persona: str = "joey") -> StoredTurn:
    return StoredTurn("persona", "", "Joey", text, "", "2026-01-02T03:04:06+00:00", persona, "m", answers)


@pytest.fixture(params=["redis", "memory"])
async def kept(request: pytest.FixtureRequest):
    url = request.getfixturevalue("valkey_url") if request.param == "redis" else None
    history = await History.connect(url) if url else EphemeralHistory()
    yield history
    await history.aclose()


async def texts(history: ConversationHistory, address: Address, persona: str = "joey") -> list[str]:
    return [turn.text for turn in await history.recent(address, persona, 100)]


async def test_turns_come_back_as_they_were_oldest_first(kept: ConversationHistory) -> None:
    turns = [asked("1"), said("2", "1"), asked("3😀é\ud800")]
    await kept.append(A, "joey", turns[0])
    await kept.append(A, "joey", *turns[1:])
    assert await kept.recent(A, "joey", 100) == turns
    assert await kept.recent(A, "joey", 2) == turns[1:]
    assert await kept.recent(A, "joey", 0) == []


async def test_only_the_last_200_turns_are_kept(kept: ConversationHistory) -> None:
    await kept.append(A, "joey", *(asked(str(number)) for number in range(230)))
    assert [turn.text for turn in await kept.recent(A, "joey", 999)] == [str(number) for number in range(30, 230)]


@pytest.mark.parametrize(
    "other", [TOPIC, OTHER_BOT, replace(A, platform="discord"), replace(A, chat="-1"), replace(A, chat="-100:0")]
)
async def test_conversations_are_apart(kept: ConversationHistory, other: Address) -> None:
    await kept.append(A, "joey", asked("here"))
    await kept.append(other, "joey", asked("there"))
    await kept.choose(other, "monica")
    assert await kept.first_time(other, "1")
    assert await texts(kept, A) == ["here"]
    assert await texts(kept, other) == ["there"]
    assert await kept.persona(A) is None
    assert await kept.first_time(A, "1")
    await kept.reset(other)
    assert await texts(kept, A) == ["here"]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (Address("p", "b", "x:y", "z"), Address("p", "b", "x", "y:z")),
        (Address("p", "b:x", "y"), Address("p", "b", "x:y")),
        (Address("p", "b", "x:0"), Address("p", "b", "x%3A0")),
        (Address("p", "b", "c", "0:history:joey"), Address("p", "b", "c", "0")),
    ],
)
async def test_a_colon_in_an_id_makes_no_two_conversations_one(
    kept: ConversationHistory, one: Address, two: Address
) -> None:
    await kept.append(one, "joey", asked("one"))
    await kept.append(two, "joey", asked("two"))
    assert (await texts(kept, one), await texts(kept, two)) == (["one"], ["two"])


async def test_personas_are_apart_in_one_conversation(kept: ConversationHistory) -> None:
    await kept.append(A, "joey", asked("to joey"))
    await kept.append(A, "monica", asked("to monica"))
    assert (await texts(kept, A), await texts(kept, A, "monica")) == (["to joey"], ["to monica"])


async def test_a_message_is_new_once(kept: ConversationHistory) -> None:
    assert [await kept.first_time(A, one) for one in ("1", "1", "2", "1")] == [True, False, True, False]


async def test_reset_empties_all_personas_and_keeps_the_chosen_one(kept: ConversationHistory) -> None:
    await kept.choose(A, "monica")
    await kept.append(A, "joey", asked("1"))
    await kept.append(A, "monica", asked("2"))
    await kept.append(TOPIC, "joey", asked("3"))
    await kept.reset(A)
    assert (await texts(kept, A), await texts(kept, A, "monica"), await texts(kept, TOPIC)) == ([], [], ["3"])
    assert await kept.persona(A) == "monica"


async def test_forget_takes_the_authors_turns_and_the_answers_everywhere(kept: ConversationHistory) -> None:
    mine, yours = asked("mine", "7", "1"), asked("yours", "8", "2")
    for address, persona in ((A, "joey"), (A, "monica"), (TOPIC, "joey")):
        await kept.append(address, persona, mine, yours, said("to you", "2", persona), said("to me", "1", persona))
    await kept.append(OTHER_BOT, "joey", mine)
    assert await kept.forget("telegram", "1", "7") == 6
    for address, persona in ((A, "joey"), (A, "monica"), (TOPIC, "joey")):
        assert await texts(kept, address, persona) == ["yours", "to you"]
    assert await texts(kept, OTHER_BOT) == ["mine"]
    assert await kept.forget("telegram", "1", "7") == 0


async def test_an_answer_belongs_to_the_nearest_message_of_its_id(kept: ConversationHistory) -> None:
    before = [asked("mine", "7", "1"), said("to me", "1")]
    await kept.append(A, "joey", *before, asked("yours", "8", "1"), said("to you", "1"))
    await kept.forget("telegram", "1", "7")
    assert await texts(kept, A) == ["yours", "to you"]


async def test_migration_moves_all_threads_in_front_of_what_is_there(kept: ConversationHistory) -> None:
    new = replace(A, chat="-200")
    await kept.append(A, "joey", asked("1"), said("2", "1"))
    await kept.append(TOPIC, "monica", asked("3"))
    await kept.choose(A, "monica")
    await kept.append(replace(A, chat="-1001"), "joey", asked("another chat"))
    await kept.append(new, "joey", asked("4"))
    for _ in range(2):  # Telegram tells of a migration twice
        await kept.migrate(A, new)
        assert await texts(kept, new) == ["1", "2", "4"]
    assert await texts(kept, replace(new, thread="5"), "monica") == ["3"]
    assert await kept.persona(new) == "monica"
    assert (await texts(kept, A), await texts(kept, TOPIC, "monica"), await kept.persona(A)) == ([], [], None)
    assert await texts(kept, replace(A, chat="-1001")) == ["another chat"]
    assert await kept.forget("telegram", "1", "7") == 5


async def test_migration_keeps_the_persona_chosen_since_and_a_move_to_itself_loses_nothing(
    kept: ConversationHistory,
) -> None:
    new = replace(A, chat="-200")
    await kept.choose(A, "monica")
    await kept.choose(new, "ross")
    await kept.append(A, "joey", asked("1"))
    await kept.migrate(A, A)
    assert await texts(kept, A) == ["1"]
    await kept.migrate(A, new)
    assert (await kept.persona(new), await kept.persona(A)) == ("ross", None)


async def test_a_filter_holds_for_all_threads_of_a_chat(kept: ConversationHistory) -> None:
    assert await kept.filter_level(A) is None
    await kept.set_filter_level(TOPIC, "strict")
    assert [await kept.filter_level(one) for one in (A, TOPIC, replace(A, thread="6"))] == ["strict"] * 3
    others = (OTHER_BOT, replace(A, platform="discord"), replace(A, chat="-1"), replace(A, chat="-100:0"))
    assert [await kept.filter_level(one) for one in others] == [None] * 4
    await kept.set_filter_level(A, "off")
    assert await kept.filter_level(TOPIC) == "off"


async def test_reset_and_forget_leave_the_filter(kept: ConversationHistory) -> None:
    await kept.set_filter_level(A, "strict")
    await kept.append(A, "joey", asked("1"))
    await kept.reset(A)
    await kept.forget("telegram", "1", "7")
    assert await kept.filter_level(A) == "strict"


@pytest.mark.parametrize("talked", [True, False])
async def test_migration_takes_the_filter_along(kept: ConversationHistory, talked: bool) -> None:
    new = replace(A, chat="-200")
    await kept.set_filter_level(A, "strict")
    await kept.set_filter_level(replace(A, chat="-1001"), "off")
    if talked:
        await kept.append(TOPIC, "joey", asked("1"))
    for _ in range(2):
        await kept.migrate(A, new)
        assert (await kept.filter_level(new), await kept.filter_level(A)) == ("strict", None)
    assert await kept.filter_level(replace(A, chat="-1001")) == "off"


async def test_migration_keeps_the_filter_chosen_since(kept: ConversationHistory) -> None:
    new = replace(A, chat="-200")
    await kept.set_filter_level(A, "off")
    await kept.set_filter_level(new, "strict")
    await kept.migrate(A, new)
    assert (await kept.filter_level(new), await kept.filter_level(A)) == ("strict", None)


def test_unknown_fields_survive_reading_and_writing() -> None:
    fields = {**asked("1").to_mapping(), "mood": "happy", "later": {"deep": [1]}}
    turn = StoredTurn.from_mapping(fields)
    assert turn is not None
    assert turn.extra == {"mood": "happy", "later": {"deep": [1]}}
    assert turn.to_mapping() == fields


@pytest.mark.parametrize("broken", [{}, {"role": "user"}, {**asked("1").to_mapping(), "text": None}])
def test_what_is_not_a_turn_is_none(broken: dict[str, object]) -> None:
    assert StoredTurn.from_mapping(broken) is None
