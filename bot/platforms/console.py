"""The terminal: a prompt for a person, plain lines for a pipe."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.platforms.pipe import Pipe
from bot.platforms.talk import one_line, talk
from bot.replier import Replier, Reply
from persona.characters import Persona

_COLORS = ("cyan", "magenta", "green", "yellow", "blue", "red")
_IDLE = "/help lists the commands, Ctrl-D leaves"


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """How to talk: `persona` begins with another one; `typed` is the arrow keys' history file, None for none."""

    persona: str | None = None
    json: bool = False
    typed: Path | None = None


async def run_console(
    replier: Replier, loaded: Awaitable[str | None], options: ConsoleOptions, stop: asyncio.Event
) -> None:
    """Talk until the input ends or `stop` is set; see `bot.platforms.talk.talk` for the rest.

    A person gets the terminal's prompt; piped input, piped output and JSON get plain lines.
    """
    if all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout)) and not options.json:
        with Terminal(replier.personas, options.typed, stop) as screen:
            await talk(replier, loaded, screen, options.persona, stop)
        return
    try:
        await talk(replier, loaded, Pipe.of_this_process(as_json=options.json), options.persona, stop)
    except BrokenPipeError:  # `| head`: whoever read has left, and Python's last flush must not fail over it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Terminal:
    """A prompt that is always there, with what is said above it and what goes on below."""

    def __init__(self, personas: tuple[Persona, ...], typed: Path | None, stop: asyncio.Event) -> None:
        from prompt_toolkit import PromptSession  # noqa: PLC0415 - slow to import, and a pipe needs none of it
        from prompt_toolkit.patch_stdout import patch_stdout  # noqa: PLC0415

        self._personas = [persona.id for persona in personas]
        self._typed = typed
        self._stop = stop
        self._doings: list[str] = []
        self._patch = patch_stdout(raw=True)
        self._session: PromptSession[str] = PromptSession(
            [("bold", "You: ")],
            history=self._arrow_history(),
            bottom_toolbar=lambda: f" {self._doings[-1]} ..." if self._doings else f" {_IDLE}",
            style=_style(),
            interrupt_exception=EOFError,
        )

    def __enter__(self) -> "Terminal":
        from rich.console import Console  # noqa: PLC0415 - slow to import

        self._patch.__enter__()
        self._console = Console(file=sys.stdout, highlight=False)
        return self

    def __exit__(self, *exception: object) -> None:
        self._patch.__exit__(None, None, None)

    async def lines(self) -> AsyncGenerator[str, None]:
        """Yield what is typed. The prompt stays while a line is answered; Ctrl-C and Ctrl-D set `stop`."""
        queue: asyncio.Queue[str] = asyncio.Queue()
        reading = asyncio.create_task(self._read(queue.put_nowait))
        try:
            while True:
                yield await queue.get()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, put: Callable[[str], None]) -> None:
        try:
            while True:
                put(await self._session.prompt_async(handle_sigint=False))
        except EOFError:
            self._stop.set()

    def opened(self, persona: Persona) -> None:
        """Let the persona say hello."""
        self.show(Reply(persona.greeting, persona, "greeting"))

    def show(self, reply: Reply) -> None:
        """Print the reply under a coloured name."""
        from rich.text import Text  # noqa: PLC0415

        color = _COLORS[self._personas.index(reply.persona.id) % len(_COLORS)]
        self._console.print(Text.assemble((f"{reply.persona.name}: ", f"bold {color}"), one_line(reply.text)))

    def tell(self, text: str) -> None:
        """Print in grey."""
        self._console.print(text, style="dim", markup=False, emoji=False)

    def loading(self) -> AbstractContextManager[None]:
        """Show it below the prompt."""
        return self._doing("the model is loading, and you can type already")

    def thinking(self) -> AbstractContextManager[None]:
        """Show it below the prompt."""
        return self._doing("thinking")

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        self._doings.append(what)
        self._session.app.invalidate()
        try:
            yield
        finally:
            self._doings.remove(what)
            self._session.app.invalidate()

    def forget(self) -> None:
        """Empty the arrow keys' history."""
        if self._typed:
            self._typed.unlink(missing_ok=True)
        self._session.history = self._session.default_buffer.history = self._arrow_history()

    def _arrow_history(self) -> Any:
        from prompt_toolkit.history import FileHistory, InMemoryHistory  # noqa: PLC0415

        if not self._typed:
            return InMemoryHistory()
        try:
            self._typed.parent.mkdir(parents=True, exist_ok=True)
            self._typed.touch(mode=0o600)
        except OSError:
            return InMemoryHistory()  # talking matters more than the arrow keys' memory
        return FileHistory(str(self._typed))


def _style() -> Any:
    from prompt_toolkit.styles import Style  # noqa: PLC0415

    return Style.from_dict({"bottom-toolbar": "noreverse fg:ansibrightblack"})
