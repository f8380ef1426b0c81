"""The Telegram adapter: every handler is a few lines between a message and the replier."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

from telegram import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message, Update
from telegram.constants import InlineKeyboardButtonLimit
from telegram.error import BadRequest, TelegramError
from telegram.ext import CallbackQueryHandler, CommandHandler, MessageHandler, filters

from bot.commands import filter_sentence
from bot.conversation import HistoryError
from bot.platforms.crowd import MOST, Crowd
from bot.platforms.plaintext import unclickable
from bot.platforms.telegram.client import Client, Context
from bot.platforms.telegram.messages import (
    SPOKEN,
    ByPerson,
    OurCommand,
    address_of,
    addressed_text,
    by_administrator,
    incoming,
    message_of,
)
from bot.platforms.telegram.sending import Sender, deliver, typing
from bot.replier import BUSY, Address, Incoming, Replier
from bot.words import LEVELS, LevelError
from persona.characters import Persona, PersonaError

COMMANDS = {
    "start": "say hello",
    "help": "how this works and what is stored",
    "persona": "choose who you talk to",
    "filter": "how I mind my language here",
    "reset": "empty this conversation",
    "forget": "delete what you said, everywhere",
}
NO_ADMINISTRATOR = "Only an administrator of this group can change the filter."
UNCHECKED = "Telegram doesn't tell me who is an administrator right now. Try again in a moment."
STALE_BUTTON = "This button is out of date. Send /persona for new ones."
OLDEST = timedelta(minutes=10)
DELETING = 4 * MOST  # so much may be under way in a chat that still obeys who wants something deleted

Handler = Callable[[Update, Context], Coroutine[Any, Any, None]]


class TelegramPlatform:
    """One bot account, polled until told to stop.

    `api_url` is the address of another Bot API server; `grace` is how many seconds the updates in
    hand may take when stopping, besides one or two for polling to end.
    """

    def __init__(self, token: str, replier: Replier, *, api_url: str | None = None, grace: float = 4.5) -> None:
        self._account = (token, api_url, grace)
        self._replier = replier
        self._sender = Sender()
        self._crowd = Crowd()
        self._buttons = {_button_data(persona): persona for persona in replier.personas}

    async def run(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set; raises PlatformError where the token or the network is bad."""
        client = Client(*self._account)
        self._listen(client.application.add_handler, since=lambda: client.began - OLDEST)
        serving = asyncio.create_task(client.serve(COMMANDS))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        finally:
            serving.cancel()
            stopping.cancel()
            await asyncio.wait({serving, stopping})
            await client.close()

    def _listen(self, add: Callable[[Any], None], since: Callable[[], datetime]) -> None:
        people = SPOKEN & ByPerson(since)
        add(CommandHandler("start", self._command(self._start), people))
        add(CommandHandler("help", self._command(self._help), people))
        add(CommandHandler("reset", self._command(self._reset, in_turn=True, deletes=True), people))
        add(CommandHandler("forget", self._command(self._forget, deletes=True), people))
        who = self._command(self._ask_persona, _keyboard(self._replier.personas))
        add(CommandHandler("persona", who, people, has_args=False))
        add(CommandHandler("persona", self._command(self._choose_persona, in_turn=True), people))
        add(CommandHandler("filter", self._command(self._filter), people, has_args=False))
        add(CommandHandler("filter", self._set_filter, people))
        add(MessageHandler(people & filters.COMMAND & OurCommand(), self._command(self._help)))
        add(MessageHandler(people & ~filters.COMMAND, self._talk))
        add(MessageHandler(filters.StatusUpdate.MIGRATE, self._migrate))
        add(CallbackQueryHandler(self._pressed))

    async def _talk(self, update: Update, context: Context) -> None:
        message = message_of(update)
        text = addressed_text(message, context.bot.bot)
        if text is None:
            return
        with self._crowd.entry(address_of(message).whole_chat) as entry:
            if entry == "answer":
                await self._answer(message, text)
            elif entry == "say busy":
                await self._sender.say(message, BUSY)

    async def _answer(self, message: Message, text: str) -> None:
        with typing(message):
            reply = await self._replier.reply(incoming(message, text))
        if reply is not None:
            await self._sender.say(message, unclickable(reply.text) if reply.kind == "reply" else reply.text)

    def _command(
        self,
        answer: Callable[[Incoming], Awaitable[str]],
        keyboard: InlineKeyboardMarkup | None = None,
        *,
        in_turn: bool = False,
        deletes: bool = False,
    ) -> Handler:
        """Answer a command, whose arguments are the text, with what `answer` returns or raises.

        One that `deletes` is obeyed in a flood, too, without an answer.
        """

        async def handle(update: Update, context: Context) -> None:
            message = message_of(update)
            command, place = incoming(message, " ".join(context.args or ())), address_of(message).whole_chat
            with self._crowd.entry(place) as entry:
                sentence: str | None = BUSY if entry == "say busy" else None
                if entry == "answer" or (deletes and self._crowd.under_way(place) <= DELETING):
                    obeyed = await self._obeyed(command, answer, in_turn=in_turn)
                    sentence = sentence or obeyed
                if sentence is not None and entry != "leave":
                    await self._sender.say(message, sentence, keyboard)

        return handle

    async def _obeyed(
        self, command: Incoming, answer: Callable[[Incoming], Awaitable[str]], *, in_turn: bool
    ) -> str | None:
        try:
            return await self._replier.once(command, answer, in_turn=in_turn)
        except (PersonaError, LevelError, HistoryError) as error:
            return unclickable(str(error))  # it may quote what was typed

    async def _start(self, command: Incoming) -> str:
        persona = await self._replier.persona_of(command.address)
        return f"{persona.greeting}\n\n{self._replier.help_text()}"

    async def _help(self, command: Incoming) -> str:
        return self._replier.help_text()

    async def _reset(self, command: Incoming) -> str:
        await self._replier.reset(command.address)
        return "This conversation is empty now."

    async def _forget(self, command: Incoming) -> str:
        count = await self._replier.forget(command.address, command.author_id)
        return f"Forgotten, in every conversation. Turns deleted: {count}."

    async def _choose_persona(self, command: Incoming) -> str:
        return _chosen(await self._replier.choose_persona(command.address, command.text))

    async def _ask_persona(self, command: Incoming) -> str:
        return "Who do you want to talk to?"

    async def _filter(self, command: Incoming) -> str:
        now = filter_sentence(await self._replier.filter_of(command.address))
        return f"{now} /filter LEVEL changes that: {', '.join(LEVELS)}."

    async def _set_filter(self, update: Update, context: Context) -> None:
        async def choose(command: Incoming) -> str:
            try:
                if not await by_administrator(message_of(update)):
                    return NO_ADMINISTRATOR
            except TelegramError:
                return UNCHECKED
            return filter_sentence(await self._replier.choose_filter(command.address, command.text))

        await self._command(choose, in_turn=True)(update, context)

    async def _pressed(self, update: Update, context: Context) -> None:
        query = cast(CallbackQuery, update.callback_query)
        message, persona = query.message, self._buttons.get(query.data or "")
        if persona is None or not isinstance(message, Message) or not message.is_accessible:
            await query.answer(STALE_BUTTON)
            return
        with self._crowd.entry(address_of(message).whole_chat) as entry:
            if entry == "answer":
                await self._choose_pressed(query, message, persona)
            else:
                await query.answer(BUSY)

    async def _choose_pressed(self, query: CallbackQuery, message: Message, persona: Persona) -> None:
        try:
            await self._replier.choose_persona(address_of(message), persona.id)
        except HistoryError as error:
            await query.answer(str(error))
            return
        with suppress(BadRequest):  # pressed while the bot was away: too late for an answer
            await deliver(query.answer)
        with suppress(BadRequest):  # pressed twice: the message says so already
            await deliver(query.edit_message_text, _chosen(persona))

    async def _migrate(self, update: Update, context: Context) -> None:
        message = message_of(update)
        here, bot_id = message.chat.id, str(context.bot.id)
        ids = (message.migrate_from_chat_id or here, message.migrate_to_chat_id or here)
        old, new = (Address("telegram", bot_id, str(chat)) for chat in ids)
        await self._replier.migrate(old, new)  # the old group tells, and so does the new one: twice is as good as once


def _chosen(persona: Persona) -> str:
    return f"You are talking to {persona.name} now.\n\n{persona.greeting}"


def _keyboard(personas: Iterable[Persona]) -> InlineKeyboardMarkup:
    buttons = [InlineKeyboardButton(persona.name, callback_data=_button_data(persona)) for persona in personas]
    return InlineKeyboardMarkup([buttons[start : start + 2] for start in range(0, len(buttons), 2)])


def _button_data(persona: Persona) -> str:
    data = f"persona:{persona.id}".encode()[: InlineKeyboardButtonLimit.MAX_CALLBACK_DATA]
    return data.decode(errors="ignore")
