"""One person at this machine talks: lines and commands in, replies out, on whatever screen there is."""

import asyncio
import os
import uuid
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AbstractContextManager, aclosing
from datetime import UTC, datetime
from typing import Any, Protocol

from bot.commands import filter_sentence
from bot.conversation import HistoryError
from bot.replier import Address, Incoming, Replier, Reply
from bot.words import LEVELS, LevelError
from persona.characters import Persona, PersonaError, listing
from persona.harmless import GUEST

USER = str(os.getuid())
ADDRESS = Address("console", "local", USER)


class Screen(Protocol):
    """Where lines come from and replies go."""

    def lines(self) -> AsyncGenerator[str, None]:
        """Yield what is typed until there is no more."""
        ...

    def opened(self, persona: Persona) -> None:
        """Begin with this persona."""
        ...

    def show(self, reply: Reply) -> None:
        """Show a reply; raises BrokenPipeError where nobody reads any more."""
        ...

    def tell(self, text: str) -> None:
        """Say something about the program itself."""
        ...

    def loading(self) -> AbstractContextManager[None]:
        """Show that the model loads."""
        ...

    def thinking(self) -> AbstractContextManager[None]:
        """Show that a reply is being made."""
        ...

    def forget(self) -> None:
        """Drop what was kept of the typed lines."""
        ...


async def talk(
    replier: Replier, loaded: Awaitable[str | None], screen: Screen, persona: str | None, stop: asyncio.Event
) -> None:
    """Talk until the lines end or `stop` is set, beginning with `persona` where one is named.

    `loaded` waits for the model and returns what people should know of it. Raises PersonaError,
    HistoryError, BrokenPipeError, and whatever `loaded` raises.
    """
    loading = asyncio.ensure_future(_load(loaded, screen))
    talking = asyncio.ensure_future(_answer_lines(replier, screen, persona, loading))
    stopping = asyncio.ensure_future(stop.wait())
    waits: set[asyncio.Future[Any]] = {talking, loading, stopping}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()  # without a model there is nobody to talk to
            await asyncio.wait(waits - {loading}, return_when=asyncio.FIRST_COMPLETED)
        if talking.done():
            talking.result()
    finally:
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def one_line(text: str) -> str:
    """Return `text` without line breaks and without what would steer a terminal."""
    return "".join(char for char in " ".join(text.split()) if char.isprintable())


def sentence(text: str) -> str:
    """Return an error's text with a capital and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


async def _load(loaded: Awaitable[str | None], screen: Screen) -> None:
    with screen.loading():
        notice = await loaded
    if notice:
        screen.tell(notice)


async def _answer_lines(replier: Replier, screen: Screen, persona: str | None, loading: asyncio.Future[None]) -> None:
    if persona:
        await replier.choose_persona(ADDRESS, persona)
    screen.opened(await replier.persona_of(ADDRESS))
    async with aclosing(screen.lines()) as lines:
        async for line in lines:
            text = line.strip()
            if text.startswith("/"):
                screen.tell(await _command(replier, screen, text))
            elif text:
                with screen.thinking():
                    await asyncio.wait({loading})  # takes nothing of the time that a reply has
                    reply = await replier.reply(_incoming(text))
                if reply:
                    screen.show(reply)


def _incoming(text: str) -> Incoming:
    # Everybody is a guest here: the same words and seed repeat the same conversation for anybody.
    return Incoming(ADDRESS, uuid.uuid4().hex, USER, GUEST, text, datetime.now(UTC))


async def _command(replier: Replier, screen: Screen, text: str) -> str:
    """Do what a line that begins with a slash asks for, and return what to say about it."""
    name, _, rest = text[1:].partition(" ")
    try:
        match name.casefold():
            case "persona":
                said = await _persona(replier, rest.strip())
            case "filter":
                said = await _filter(replier, rest.strip())
            case "reset":
                await replier.reset(ADDRESS)
                said = "Forgotten: this conversation begins anew."
            case "forget":
                screen.forget()
                said = f"Forgotten: {await replier.forget(ADDRESS, USER)} turns, and the lines you typed here."
            case "help":
                said = f"{replier.help_text()}\nCtrl-C and Ctrl-D leave."
            case _:
                said = f"There is no command /{one_line(name)}; /help lists what there is."
    except (PersonaError, LevelError, HistoryError) as error:
        said = sentence(str(error))
    return said


async def _persona(replier: Replier, wanted: str) -> str:
    if wanted:
        return f"You are talking to {(await replier.choose_persona(ADDRESS, wanted)).name} now."
    now = await replier.persona_of(ADDRESS)
    return f"You are talking to {now.name}; /persona NAME changes that: {listing(replier.personas)}."


async def _filter(replier: Replier, wanted: str) -> str:
    if wanted:
        return filter_sentence(await replier.choose_filter(ADDRESS, wanted))
    return f"{filter_sentence(await replier.filter_of(ADDRESS))} /filter LEVEL changes that: {', '.join(LEVELS)}."
