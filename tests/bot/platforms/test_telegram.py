"""The Telegram adapter over HTTP against telegram-test-api, with a scripted engine and a real Valkey."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from email.utils import formatdate
from itertools import count
from typing import Any

import httpx
import pytest
from telegram.error import BadRequest, NetworkError, TimedOut

from bot.conversation import Address, ConversationHistory, HistoryError
from bot.engine.chooser import Chooser, ChooserOptions
from bot.engine.protocol import GenerateRequest
from bot.engine.scripted import Gate, Line, ScriptedEngine
from bot.ephemeral import EphemeralHistory
from bot.platforms.crowd import MOST
from bot.platforms.errors import PlatformError, UnreachableError
from bot.platforms.telegram import TelegramPlatform
from bot.platforms.telegram.adapter import NO_ADMINISTRATOR, STALE_BUTTON, UNCHECKED
from bot.platforms.telegram.client import REFUSED, UNREACHABLE, MessageRateLimiter
from bot.platforms.telegram.sending import deliver
from bot.replier import BUSY, Replier
from persona.characters import friends
from persona.dialogue import Scene, Turn
from tests.peers.telegram.peer import Bot, Person, installed, mention, telegram_server

US = "@TestNameBot"
GROUP = -1001
bot_ids = count(7001)
# The library reads its own deprecated attribute when Telegram answers 429.
told_to_slow_down = pytest.mark.filterwarnings("ignore:.*attribute `retry_after` will be of type:DeprecationWarning")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with telegram_server() as url:
        yield url


@dataclass
class House:
    """A running bot, its account on the server and the engine behind it."""

    bot: Bot
    engine: ScriptedEngine
    replier: Replier
    stop: asyncio.Event
    running: asyncio.Task[None]

    def scenes(self) -> list[list[tuple[str, str]]]:
        return [[(turn.name, turn.text) for turn in asked.conversation.turns] for asked in self.engine.asked]


def until(event: asyncio.Event) -> Gate:
    async def gate(_: GenerateRequest) -> None:
        await event.wait()

    return gate


class Opener:
    """Opens houses on one server; each has a bot of its own unless told otherwise."""

    def __init__(self, url: str, history: ConversationHistory) -> None:
        self.url, self.history = url, history

    def replier(self, engine: ScriptedEngine | None = None) -> Replier:
        engine = engine or ScriptedEngine(["Sure."])
        return Replier(Chooser(engine, friends(), ChooserOptions(longest=5000)), self.history, friends())

    @asynccontextmanager
    async def __call__(
        self,
        *script: Line,
        gate: Gate | None = None,
        bot_id: int = 0,
        fail: dict[str, Any] | None = None,
        grace: float = 5,
    ) -> AsyncIterator[House]:
        engine = ScriptedEngine(script or ("Sure.",), gate=gate)
        replier = self.replier(engine)
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, verify=False) as http:
            bot = Bot(http, bot_id or next(bot_ids))
            for method, failure in (fail or {}).items():
                await bot.fail(method, *(failure if isinstance(failure, list) else [failure]))
            before, stop = await bot.polls(), asyncio.Event()
            platform = TelegramPlatform(bot.token, replier, api_url=self.url, grace=grace)
            running = asyncio.create_task(platform.run(stop))
            while await bot.polls() == before and not running.done():  # noqa: ASYNC110 - another process polls
                await asyncio.sleep(0.01)
            try:
                yield House(bot, engine, replier, stop, running)
            finally:
                stop.set()
                await running
                await replier.aclose(0)


@pytest.fixture
def opened(server: str, history: ConversationHistory) -> Opener:
    return Opener(server, history)


async def test_a_private_text_is_answered_with_a_reply_to_it(opened: Opener) -> None:
    async with opened("How you doin'?") as house:
        ross = Person(house.bot, chat=31)
        await ross.say("Hi there")
        (sent,) = await house.bot.sent(1)
        assert sent["text"] == "How you doin'?"
        assert str(sent["chat_id"]) == "31"
        assert sent["reply_parameters"]["message_id"] > 0
        assert sent["reply_parameters"]["allow_sending_without_reply"] is True
        assert sent["link_preview_options"] == {"is_disabled": True}
        assert not {"parse_mode", "entities"} & set(sent)
        (asked,) = house.engine.asked
        assert asked.conversation == Scene((Turn("Ross G", "Hi there"),))
        assert asked.persona.id == "joey"


async def test_the_scene_grows_in_order(opened: Opener) -> None:
    async with opened("one", "two") as house:
        ross = Person(house.bot, chat=31)
        await ross.say("first")
        await ross.say("second")
        assert [sent["text"] for sent in await house.bot.sent(2)] == ["one", "two"]
        assert house.scenes() == [
            [("Ross G", "first")],
            [("Ross G", "first"), ("Joey Tribbiani", "one"), ("Ross G", "second")],
        ]


async def test_a_character_s_name_is_not_for_users(opened: Opener) -> None:
    async with opened() as house:
        await Person(house.bot, chat=31, first_name="Joey", last_name="Tribbiani").say("I am Joey")
        await house.bot.sent(1)
        assert house.scenes() == [[("Guest", "I am Joey")]]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (f"{US} how are you?", "how are you?"),
        (f"😀 hey {US}, how are you?", "😀 hey, how are you?"),
        ("how are you @testnamebot", "how are you"),
    ],
)
async def test_a_mention_in_a_group_is_answered_and_cut(opened: Opener, text: str, asked: str) -> None:
    async with opened() as house:
        name = next(word.strip(",") for word in text.split() if word.startswith("@"))
        await Person(house.bot, GROUP).say(text, entities=mention(text, name))
        await house.bot.sent(1)
        assert house.scenes() == [[("Ross G", asked)]]


async def test_a_mention_without_a_username_and_one_in_a_caption_count(opened: Opener) -> None:
    async with opened() as house:
        ross = Person(house.bot, GROUP)
        us = {"id": house.bot.id, "is_bot": True, "first_name": "Joey"}
        await ross.say("Joey, hi", entities=[{"type": "text_mention", "offset": 0, "length": 4, "user": us}])
        await house.bot.sent(1)
        caption = f"{US} look"
        photo = [{"file_id": "1", "file_unique_id": "1", "width": 1, "height": 1}]
        message = ross.message(message_id=900, photo=photo, caption=caption, caption_entities=mention(caption, US))
        await house.bot.update(message=message)
        await house.bot.sent(2)
        assert [scene[-1] for scene in house.scenes()] == [("Ross G", "hi"), ("Ross G", "look")]


async def test_a_reply_to_our_message_is_answered(opened: Opener) -> None:
    async with opened() as house:
        ross = Person(house.bot, GROUP)
        ours = ross.message(message_id=5, text="How you doin'?")
        ours["from"] = {"id": house.bot.id, "is_bot": True, "first_name": "Joey"}
        await ross.say("not for you", reply_to_message=ross.message(message_id=6, text="hm"))
        await ross.say("fine", reply_to_message=ours)
        await house.bot.sent(1)
        assert house.scenes() == [[("Ross G", "fine")]]


def _of_a_bot(person: Person) -> dict[str, Any]:
    return {**person.message(text="beep"), "from": {**person.sender, "is_bot": True}}


IGNORED: dict[str, Any] = {
    "group talk": lambda ross: {"message": Person(ross.bot, GROUP).message(text="I said hi")},
    "another's mention": lambda ross: {
        "message": Person(ross.bot, GROUP).message(text="@other hi", entities=mention("@other hi", "@other"))
    },
    "our name without an entity": lambda ross: {"message": Person(ross.bot, GROUP).message(text=f"x{US} hi")},
    "another bot": lambda ross: {"message": _of_a_bot(ross)},
    "via a bot": lambda ross: {"message": ross.message(text="hi", via_bot=_of_a_bot(ross)["from"])},
    "edit": lambda ross: {"edited_message": ross.message(text="hi", edit_date=int(time.time()))},
    "edited command": lambda ross: {
        "edited_message": ross.message(
            text="/help", entities=[{"type": "bot_command", "offset": 0, "length": 5}], edit_date=int(time.time())
        )
    },
    "channel post": lambda ross: {"channel_post": {**ross.message(text="hi"), "chat": {"id": -5, "type": "channel"}}},
    "channel post that comes into its group by itself": lambda ross: {
        "message": Person(ross.bot, GROUP, id=777000, first_name="Telegram").message(
            text=f"{US} hi",
            entities=mention(US, US),
            sender_chat={"id": -5, "type": "channel", "title": "News"},
            is_automatic_forward=True,
        )
    },
    "service message": lambda ross: {"message": ross.message(new_chat_title="Central Perk")},
    "older than ten minutes": lambda ross: {"message": {**ross.message(text="hi"), "date": int(time.time()) - 660}},
}


@pytest.mark.parametrize("kind", IGNORED)
async def test_what_is_not_for_us_is_ignored(opened: Opener, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as house:
        ross = Person(house.bot, chat=31)
        for field, message in IGNORED[kind](ross).items():
            await house.bot.update(**{field: {"message_id": 900, **message}})
        await ross.say("now")
        await house.bot.sent(1)
        assert house.scenes() == [[("Ross G", "now")]]
        assert not [sent for sent in await house.bot.calls("sendMessage") if str(sent["chat_id"]) != "31"]
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


async def test_a_message_nine_minutes_old_is_answered(opened: Opener) -> None:
    async with opened() as house:
        await Person(house.bot, chat=31).say("hi", date=int(time.time()) - 540)
        await house.bot.sent(1)


async def test_how_old_a_message_is_goes_by_telegram_s_clock(opened: Opener) -> None:
    two_hours_ago = int(time.time()) - 7200
    slow = [{"date": formatdate(two_hours_ago, usegmt=True)}] * 3
    async with opened(fail={"getUpdates": slow}) as house:
        await Person(house.bot, chat=31).say("hi", date=two_hours_ago)
        await house.bot.sent(1)


async def test_a_sticker_is_greeted(opened: Opener) -> None:
    async with opened() as house:
        sticker = {"file_id": "1", "file_unique_id": "1", "type": "regular", "width": 1, "height": 1}
        pictures = {"is_animated": False, "is_video": False}
        message = Person(house.bot, chat=31).message(message_id=900, sticker={**sticker, **pictures})
        await house.bot.update(message=message)
        (sent,) = await house.bot.sent(1)
        assert sent["text"] == friends()[0].greeting


async def test_start_greets_and_explains(opened: Opener) -> None:
    async with opened() as house:
        await Person(house.bot, chat=31).command("/start")
        (sent,) = await house.bot.sent(1)
        greeting, _, how_to = sent["text"].partition("\n\n")
        assert greeting == friends()[0].greeting
        assert how_to == house.replier.help_text()
        assert house.engine.asked == []


@pytest.mark.parametrize("command", ["/help", "/help@TestNameBot", "/dance@testnamebot"])
async def test_commands_to_us_are_answered_in_groups(opened: Opener, command: str) -> None:
    async with opened() as house:
        await Person(house.bot, GROUP).command(command)
        (sent,) = await house.bot.sent(1)
        assert sent["text"] == house.replier.help_text()


@pytest.mark.parametrize(("chat", "command"), [(GROUP, "/help@OtherBot"), (31, "/help@OtherBot"), (GROUP, "/dance")])
async def test_others_commands_are_ignored(opened: Opener, chat: int, command: str) -> None:
    async with opened() as house:
        await Person(house.bot, chat).command(command)
        await Person(house.bot, chat=32).say("now")
        (sent,) = await house.bot.sent(1)
        assert sent["text"] == "Sure."
        assert len(house.engine.asked) == 1


async def test_persona_buttons_choose(opened: Opener) -> None:
    async with opened() as house:
        ross = Person(house.bot, chat=31)
        await ross.command("/persona")
        (sent,) = await house.bot.sent(1)
        buttons = [button for row in sent["reply_markup"]["inline_keyboard"] for button in row]
        assert [button["text"] for button in buttons] == [persona.name for persona in friends()]
        chandler = next(button for button in buttons if button["text"] == "Chandler Bing")
        await ross.press(chandler["callback_data"], message_id=77)
        (edited,) = await house.bot.sent(1, "editMessageText")
        assert "Chandler Bing" in edited["text"]
        assert str(edited["message_id"]) == "77"
        assert len(await house.bot.calls("answerCallbackQuery")) == 1
        await ross.say("hi")
        await house.bot.sent(2)
        assert house.engine.asked[0].persona.id == "chandler"


@pytest.mark.parametrize(
    ("data", "under"),
    [("persona:gunther", {}), ("vote:1", {}), ("persona:ross", {"date": 0})],
    ids=["a persona that left", "not our button", "a message out of reach"],
)
async def test_a_stale_button_gets_a_sentence(opened: Opener, data: str, under: dict[str, Any]) -> None:
    async with opened() as house:
        await Person(house.bot, chat=31).press(data, **under)
        (answer,) = await house.bot.sent(1, "answerCallbackQuery")
        assert answer["text"] == STALE_BUTTON
        assert await house.bot.calls("editMessageText") == []


async def test_a_button_pressed_long_ago_still_chooses(opened: Opener) -> None:
    too_old = {"error_code": 400, "description": "Bad Request: query is too old"}
    async with opened(fail={"answerCallbackQuery": too_old}) as house:
        ross = Person(house.bot, chat=31)
        await ross.press("persona:ross")
        await house.bot.sent(1, "editMessageText")
        await ross.say("hi")
        await house.bot.sent(1)
        assert house.engine.asked[0].persona.id == "ross"


async def test_persona_by_name_keeps_histories_apart(opened: Opener) -> None:
    async with opened() as house:
        ross = Person(house.bot, chat=31)
        await ross.say("hi Joey")
        await ross.command("/persona Phoebe")
        await ross.say("hi Phoebe")
        sent = await house.bot.sent(3)
        assert "Phoebe Buffay" in sent[1]["text"]
        await ross.command("/persona the Joey")
        assert "choose one of joey, " in (await house.bot.sent(4))[3]["text"]
        assert house.scenes() == [[("Ross G", "hi Joey")], [("Ross G", "hi Phoebe")]]


async def test_in_private_anybody_sees_and_sets_the_filter(opened: Opener) -> None:
    async with opened("Damn it.") as house:
        ross = Person(house.bot, chat=31)
        await ross.command("/filter")
        await house.bot.sent(1)
        for text in ("/filter Strict", "/filter loud"):
            await ross.command(text)
        await ross.say("hi")
        shown, chosen, wrong, reply = [sent["text"] for sent in await house.bot.sent(4)]
        assert shown.startswith("The filter is slurs: ")
        assert shown.endswith("off, slurs, strict.")
        assert chosen.startswith("The filter is strict: ")
        assert "choose one of off, slurs, strict" in wrong
        assert reply in friends()[0].fallbacks
        assert await house.bot.calls("getChatMember") == []


POWERS = ("manage_chat", "delete_messages", "manage_video_chats", "restrict_members", "promote_members", "change_info")
POSTS = ("invite_users", "post_stories", "edit_stories", "delete_stories", "be_edited")
RIGHTS = {
    "creator": ["is_anonymous"],
    "administrator": ["is_anonymous", *(f"can_{power}" for power in (*POWERS, *POSTS))],
    "member": [],
}


@pytest.mark.parametrize(("status", "level"), [("creator", "strict"), ("administrator", "strict"), ("member", "slurs")])
async def test_in_a_group_administrators_set_the_filter_for_all_topics(opened: Opener, status: str, level: str) -> None:
    async with opened("Damn it.") as house:
        ross = Person(house.bot, GROUP)
        await ross.joins(status, **dict.fromkeys(RIGHTS[status], False))
        await ross.command("/filter strict")
        (answer,) = await house.bot.sent(1)
        allowed = answer["text"].startswith("The filter is strict: ")
        assert allowed or answer["text"] == NO_ADMINISTRATOR
        await ross.command("/filter", is_topic_message=True, message_thread_id=5)
        assert (await house.bot.sent(2))[1]["text"].startswith(f"The filter is {level}: ")
        await ross.say(f"{US} hi", entities=mention(US, US))
        said = (await house.bot.sent(3))[2]["text"]
        assert (said == "Damn it.", said in friends()[0].fallbacks) == (not allowed, allowed)
        assert allowed is (level == "strict")


async def test_when_nobody_knows_who_is_an_administrator_the_filter_stays(opened: Opener) -> None:
    broken = {"error_code": 500, "description": "Internal Server Error"}
    async with opened(fail={"getChatMember": broken}) as house:
        await Person(house.bot, GROUP).command("/filter off")
        (answer,) = await house.bot.sent(1)
        assert answer["text"] == UNCHECKED
        await Person(house.bot, GROUP).command("/filter")
        assert "The filter is slurs" in (await house.bot.sent(2))[1]["text"]


async def test_reset_empties_this_conversation_only(opened: Opener) -> None:
    async with opened() as house:
        here, there = Person(house.bot, chat=31), Person(house.bot, chat=32)
        for person, text in ((here, "a"), (there, "b")):
            await person.say(text)
        await here.command("/reset")
        for person, text in ((here, "c"), (there, "d")):
            await person.say(text)
        await house.bot.sent(5)
        asked = [scene for scene in house.scenes() if scene[-1][1] in "cd"]
        assert sorted(len(scene) for scene in asked) == [1, 3]
        assert [("Ross G", "c")] in asked


async def test_forget_drops_one_s_own_turns_everywhere(opened: Opener) -> None:
    async with opened() as house:
        ross, ross_in_group = Person(house.bot, chat=31), Person(house.bot, GROUP)
        emily = Person(house.bot, GROUP, id=32, first_name="Emily", last_name="W")
        for person in (emily, ross_in_group):
            await person.say(f"{US} it's {person.first_name}", entities=mention(US, US))
        await house.bot.sent(2)
        await ross.command("/forget")
        assert "Turns deleted: 2." in (await house.bot.sent(3))[-1]["text"]
        await emily.say(f"{US} me again", entities=mention(US, US))
        await house.bot.sent(4)
        said = [("Emily W", "it's Emily"), ("Joey Tribbiani", "Sure."), ("Emily W", "me again")]
        assert house.scenes()[-1] == said


async def test_topics_are_apart_and_answered_where_they_are(opened: Opener) -> None:
    async with opened() as house:
        ross = Person(house.bot, GROUP)
        for topic in (5, 6, 5):
            fields = {"is_topic_message": True, "message_thread_id": topic, "entities": mention(US, US)}
            await ross.say(f"{US} topic {topic}", **fields)
        sent = await house.bot.sent(3)
        assert sorted(str(one["message_thread_id"]) for one in sent) == ["5", "5", "6"]
        assert sorted(len(scene) for scene in house.scenes()) == [1, 1, 3]


async def test_a_thread_of_replies_is_no_topic(opened: Opener) -> None:
    async with opened() as house:
        ross = Person(house.bot, GROUP)
        await ross.say(f"{US} one", message_thread_id=5, entities=mention(US, US))
        await ross.say(f"{US} two", entities=mention(US, US))
        sent = await house.bot.sent(2)
        assert not any("message_thread_id" in one for one in sent)
        assert len(house.scenes()[-1]) == 3


async def test_another_chat_is_answered_while_one_generates(opened: Opener) -> None:
    waiting = asyncio.Event()

    async def gate(request: GenerateRequest) -> None:
        if request.conversation.turns[-1].text == "slow":
            await waiting.wait()

    async with opened(gate=gate) as house:
        slow, quick = Person(house.bot, chat=31), Person(house.bot, chat=32)
        await slow.say("slow")
        await house.bot.sent(1, "sendChatAction")
        await quick.say("quick")
        (sent,) = await house.bot.sent(1)
        assert str(sent["chat_id"]) == "32"
        waiting.set()
        assert str((await house.bot.sent(2))[1]["chat_id"]) == "31"


async def test_an_update_delivered_twice_is_answered_once(opened: Opener) -> None:
    async with opened() as house:
        ross = Person(house.bot, chat=31)
        for _ in range(2):
            await house.bot.update(message=ross.message(message_id=900, text="hi"))
        await house.bot.update(message=ross.message(message_id=901, text="bye"))
        await house.bot.sent(2)
        assert [scene[-1][1] for scene in house.scenes()] == ["hi", "bye"]


@pytest.mark.parametrize("text", ["/help", "/start", "/persona", "/filter", "/filter strict", "/reset", "/forget"])
async def test_a_command_delivered_twice_is_answered_once(opened: Opener, text: str) -> None:
    async with opened() as house:
        ross = Person(house.bot, chat=31)
        entities = [{"type": "bot_command", "offset": 0, "length": len(text)}]
        for _ in range(2):
            await house.bot.update(message=ross.message(message_id=900, text=text, entities=entities))
        await asyncio.sleep(0.1)
        await ross.say("bye")
        assert (await house.bot.sent(2))[-1]["text"] == "Sure."


async def test_nobody_is_notified_by_what_a_command_quotes(opened: Opener) -> None:
    async with opened() as house:
        await Person(house.bot, GROUP).command("/persona @somebody")
        (sent,) = await house.bot.sent(1)
        assert "@\u2060somebody" in sent["text"]
        assert "@somebody" not in sent["text"]


async def test_a_move_that_failed_is_made_when_it_is_told_again(server: str) -> None:
    class ComesBack(EphemeralHistory):
        fails = True

        async def migrate(self, old: Address, new: Address) -> None:
            if self.fails:
                self.fails = False
                raise HistoryError("I can't reach my memory.")
            await super().migrate(old, new)

    async with Opener(server, ComesBack())() as house:
        old, new = Person(house.bot, -5), Person(house.bot, GROUP)
        await old.say(f"{US} before", entities=mention(US, US))
        await house.bot.sent(1)
        await house.bot.update(message={**old.message(message_id=900, migrate_to_chat_id=GROUP)})
        await asyncio.sleep(0.1)
        await house.bot.update(message={**new.message(message_id=1, migrate_from_chat_id=-5)})
        await asyncio.sleep(0.1)
        await new.say(f"{US} after", entities=mention(US, US))
        await house.bot.sent(2)
        assert len(house.scenes()[-1]) == 3


async def test_a_failing_typing_indicator_stops_nothing(opened: Opener) -> None:
    async with opened(fail={"sendChatAction": {"untouched": True}}) as house:
        ross = Person(house.bot, chat=31)
        await ross.say("hi")
        await house.bot.sent(1)
        (typing,) = await house.bot.calls("sendChatAction")
        assert typing["action"] == "typing"


async def test_a_long_reply_comes_in_pieces_and_harmless(opened: Opener) -> None:
    reply = " ".join(f"#word{i}" for i in range(1000))
    async with opened(reply) as house:
        await Person(house.bot, chat=31).say("talk")
        sent = await house.bot.sent(3)
        assert all(len(one["text"]) <= 4096 for one in sent)
        assert " ".join(one["text"] for one in sent) == reply.replace("#", "#\u2060")
        assert ["reply_parameters" in one for one in sent] == [True, False, False]


async def test_the_pieces_of_a_reply_stay_together(opened: Opener) -> None:
    long = " ".join(f"word{i}" for i in range(600))
    async with opened(long, "short", fail={"sendMessage": {"delay": 300}}) as house:
        ross = Person(house.bot, chat=31)
        await ross.say("talk")
        await ross.say("and then?")
        assert [len(one["text"]) > 5 for one in await house.bot.sent(3)] == [True, True, False]


async def test_a_group_s_move_takes_its_history_along(opened: Opener) -> None:
    async with opened() as house:
        old, new = Person(house.bot, -5), Person(house.bot, GROUP)
        await old.say(f"{US} before", entities=mention(US, US))
        await house.bot.sent(1)
        await house.bot.update(message={**old.message(message_id=900, migrate_to_chat_id=GROUP)})
        await house.bot.update(message={**new.message(message_id=1, migrate_from_chat_id=-5)})
        await asyncio.sleep(0.1)
        await new.say(f"{US} after", entities=mention(US, US))
        await house.bot.sent(2)
        assert house.scenes()[-1] == [("Ross G", "before"), ("Joey Tribbiani", "Sure."), ("Ross G", "after")]


async def test_two_bots_in_one_chat_are_apart(opened: Opener) -> None:
    async with opened() as one, opened() as other:
        for house in (one, other):
            await Person(house.bot, chat=31).say("hi")
            await house.bot.sent(1)
            assert house.scenes() == [[("Ross G", "hi")]]


async def test_a_bot_started_again_remembers(opened: Opener) -> None:
    async with opened() as house:
        await Person(house.bot, chat=31).say("hi")
        await house.bot.sent(1)
    async with opened(bot_id=house.bot.id) as again:
        await Person(again.bot, chat=31).say("me again")
        await again.bot.sent(2)
        assert again.scenes() == [[("Ross G", "hi"), ("Joey Tribbiani", "Sure."), ("Ross G", "me again")]]


async def test_a_reply_is_sent_again_where_the_connection_drops(opened: Opener) -> None:
    async with opened(fail={"sendMessage": {"drop": True}}) as house:
        await Person(house.bot, chat=31).say("hi")
        lost, sent = await house.bot.sent(2)
        assert lost["text"] == sent["text"] == "Sure."


@pytest.mark.parametrize("method", ["answerCallbackQuery", "editMessageText"])
async def test_what_a_button_says_is_sent_again_where_the_connection_drops(opened: Opener, method: str) -> None:
    async with opened(fail={method: {"drop": True}}) as house:
        await Person(house.bot, chat=31).press("persona:ross")
        assert len(await house.bot.sent(2, method)) == 2


def timed_out(cause: Exception) -> TimedOut:
    error = TimedOut()
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (NetworkError("httpx.ReadError"), 2),
        (timed_out(httpx.ConnectTimeout("never sent")), 2),
        (timed_out(httpx.PoolTimeout("never sent")), 2),
        (timed_out(httpx.ReadTimeout("it may have come")), 1),
        (BadRequest("no such chat"), 1),
    ],
    ids=str,
)
async def test_only_what_may_not_have_come_is_sent_again(error: Exception, times: int) -> None:
    calls = 0

    async def send() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise error

    with nullcontext() if times == 2 else pytest.raises(type(error)):
        await deliver(send)
    assert calls == times


async def test_an_answer_follows_a_group_that_has_moved_meanwhile(opened: Opener) -> None:
    moved = {"error_code": 400, "description": "Bad Request: group chat was upgraded to a supergroup chat"}
    async with opened(fail={"sendMessage": {**moved, "parameters": {"migrate_to_chat_id": GROUP}}}) as house:
        await Person(house.bot, -5).command("/persona")
        lost, sent = await house.bot.sent(2)
        assert (str(lost["chat_id"]), str(sent["chat_id"])) == ("-5", str(GROUP))
        assert (sent["text"], sent["reply_markup"]) == (lost["text"], lost["reply_markup"])


@pytest.mark.parametrize("flood", [MOST, MOST + 1], ids=["the first too many", "one more"])
async def test_a_flood_keeps_nobody_from_being_forgotten(flood: int, opened: Opener) -> None:
    waiting = asyncio.Event()

    async def gate(request: GenerateRequest) -> None:
        if request.conversation.turns[-1].text == "flood":
            await waiting.wait()

    async with opened(gate=gate) as house:
        await Person(house.bot, chat=31).say("mine")
        await house.bot.sent(1)
        for _ in range(flood):
            await Person(house.bot, GROUP, id=32).say(f"{US} flood", entities=mention(US, US))
        await Person(house.bot, GROUP).command("/forget")
        alone = Address("telegram", str(house.bot.id), "31")
        async with asyncio.timeout(5):
            while await opened.history.recent(alone, "joey", 5):  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0.02)
        assert (await house.bot.sent(2))[1]["text"] == BUSY
        waiting.set()


async def test_a_flood_in_one_group_is_told_once_and_holds_up_nobody_else(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.telegram.client.SLOTS", slots := 40)
    waiting = asyncio.Event()

    async def gate(request: GenerateRequest) -> None:
        if request.conversation.turns[-1].text != "quick":
            await waiting.wait()

    async with opened(gate=gate) as house:
        flooding = Person(house.bot, GROUP)
        for number in range(slots + 10):
            flood = flooding.message(text=f"{US} {number}", entities=mention(US, US))
            await house.bot.update(message={"message_id": 5000 + number, **flood})
        await Person(house.bot, chat=31).say("quick")
        sent = await house.bot.sent(2)
        assert [(str(one["chat_id"]), one["text"]) for one in sent] == [(str(GROUP), BUSY), ("31", "Sure.")]
        waiting.set()


@told_to_slow_down
async def test_told_to_slow_down_the_reply_is_sent_later(opened: Opener) -> None:
    slower = {"error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 1}}
    async with opened(fail={"sendMessage": slower}) as house:
        await Person(house.bot, chat=31).say("hi")
        refused, sent = await house.bot.sent(2)
        assert refused["text"] == sent["text"] == "Sure."


async def test_polling_goes_on_after_an_outage(opened: Opener) -> None:
    async with opened(fail={"getUpdates": {"error_code": 502, "description": "Bad Gateway"}}) as house:
        await Person(house.bot, chat=31).say("hi")
        await house.bot.sent(1)


async def test_the_commands_menu_is_set_and_not_needed(opened: Opener) -> None:
    async with opened(fail={"setMyCommands": {"untouched": True}}) as house:
        (menu,) = await house.bot.calls("setMyCommands")
        assert [one["command"] for one in menu["commands"]] == ["start", "help", "persona", "filter", "reset", "forget"]
        await Person(house.bot, chat=31).say("hi")
        await house.bot.sent(1)


@told_to_slow_down
async def test_a_menu_that_has_to_wait_does_not_keep_the_bot_from_starting(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.telegram.client.MENU_SECONDS", 0.2)
    slower = {"error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 60}}
    async with opened(fail={"setMyCommands": slower}) as house:
        await Person(house.bot, chat=31).say("hi")
        await house.bot.sent(1)


async def test_stopping_lets_a_reply_in_hand_finish(opened: Opener) -> None:
    waiting = asyncio.Event()
    async with opened(gate=until(waiting)) as house:
        await Person(house.bot, chat=31).say("hi")
        await house.bot.sent(1, "sendChatAction")
        house.stop.set()
        await asyncio.sleep(0.1)
        assert not house.running.done()
        waiting.set()
        await house.running
        await house.bot.sent(1)


async def test_stopping_gives_up_a_reply_that_takes_too_long(opened: Opener) -> None:
    async with opened(gate=until(asyncio.Event()), grace=0.1) as house:
        await Person(house.bot, chat=31).say("hi")
        await house.bot.sent(1, "sendChatAction")
        house.stop.set()
        async with asyncio.timeout(5):
            await house.running
        assert await house.bot.calls("sendMessage") == []


@told_to_slow_down
async def test_stopping_does_not_wait_for_polling_to_be_allowed_again(opened: Opener) -> None:
    slower = {"error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 60}}
    async with opened() as house:
        await house.bot.fail("getUpdates", slower)
        await Person(house.bot, chat=31).say("the poll under way ends with this")
        await house.bot.sent(1)
        await asyncio.sleep(0.2)
        house.stop.set()
        await asyncio.wait({house.running}, timeout=10)
        assert house.running.done()


class Unreachable(EphemeralHistory):
    """A history whose server is gone."""

    async def choose(self, address: Address, persona_id: str) -> None:
        raise HistoryError("I can't reach my memory.")

    async def reset(self, address: Address) -> None:
        raise HistoryError("I can't reach my memory.")


async def test_a_memory_out_of_reach_is_said(server: str) -> None:
    async with Opener(server, Unreachable())() as house:
        ross = Person(house.bot, chat=31)
        await ross.command("/reset")
        await ross.press("persona:ross")
        (sent,) = await house.bot.sent(1)
        (answer,) = await house.bot.sent(1, "answerCallbackQuery")
        assert sent["text"] == answer["text"] == "I can't reach my memory."


async def test_errors_are_logged_without_text_names_or_token(opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    gone = {"error_code": 403, "description": "Forbidden: bot was blocked by the user"}
    with caplog.at_level(logging.WARNING):
        async with opened(fail={"sendMessage": gone}) as house:
            ross = Person(house.bot, chat=31)
            await ross.say("my secret")
            await house.bot.sent(1)
            await ross.say("still there?")
            await house.bot.sent(2)
    assert "Forbidden" in caplog.text
    assert not [word for word in ("my secret", "Ross", "Sure.", house.bot.token) if word in caplog.text]


@pytest.mark.parametrize("token", ["SECRET", ""])
async def test_a_bad_token_is_one_sentence_without_it(opened: Opener, server: str, token: str) -> None:
    with pytest.raises(PlatformError) as raised:
        await TelegramPlatform(token, opened.replier(), api_url=server).run(asyncio.Event())
    assert str(raised.value) == REFUSED
    assert raised.value.__suppress_context__
    assert "SECRET" not in REFUSED


async def test_a_server_out_of_reach_is_one_sentence(opened: Opener) -> None:
    platform = TelegramPlatform("1:SECRET", opened.replier(), api_url="http://127.0.0.1:9")
    with pytest.raises(UnreachableError) as raised:
        await platform.run(asyncio.Event())
    assert str(raised.value) == UNREACHABLE


async def test_a_start_can_be_stopped(opened: Opener) -> None:
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(1):
        await TelegramPlatform("1:SECRET", opened.replier(), api_url="http://127.0.0.1:9").run(stop)


async def test_a_token_taken_back_ends_the_platform(opened: Opener, server: str) -> None:
    async with httpx.AsyncClient(base_url=server, trust_env=False, verify=False) as http:
        bot = Bot(http, next(bot_ids))
        await bot.fail("getUpdates", {"error_code": 401, "description": "Unauthorized"})
        with pytest.raises(PlatformError, match="BotFather"):
            await asyncio.wait_for(
                TelegramPlatform(bot.token, opened.replier(), api_url=server).run(asyncio.Event()), 10
            )


async def test_typing_does_not_use_up_what_a_group_may_be_sent() -> None:
    limiter, called = MessageRateLimiter(), []

    async def call(endpoint: str) -> bool:
        called.append(endpoint)
        return True

    async def request(endpoint: str, times: int) -> None:
        fixed: dict[str, Any] = {"kwargs": {}, "data": {"chat_id": GROUP}, "rate_limit_args": None}
        for _ in range(times):
            await limiter.process_request(callback=call, args=(endpoint,), endpoint=endpoint, **fixed)

    await request("sendChatAction", 50)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(request("sendMessage", 50), 0.5)
    assert called == ["sendChatAction"] * 50 + ["sendMessage"] * 20


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_missing_npm_fails_in_ci_and_skips_elsewhere(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="npm"):
        installed()
