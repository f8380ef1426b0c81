"""The composition root: settings in, a running house out.

Nothing below this module sees `Settings`; each part is given the values it needs. Torch is loaded
by the engine's own thread, a platform's library only where its token is set.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot import logs
from bot.conversation import ConversationHistory, HistoryError
from bot.engine.chooser import Chooser, ChooserOptions
from bot.engine.local import LocalEngine, left_behind
from bot.engine.protocol import ReplyEngine, Sampling
from bot.engine.shipped import checkpoint_folder, shipped_checkpoint
from bot.ephemeral import EphemeralHistory
from bot.replier import Replier, ReplierOptions
from bot.serving import Platform, say, serve, set_by_signals
from bot.settings import Settings, SettingsError, load_settings
from bot.valkey import ValkeyError, local_valkey
from persona.card import CardError, read_card
from persona.characters import Persona, PersonaError, friends
from persona.copied import CopiedLines
from persona.ranking import Weights

if TYPE_CHECKING:
    from bot.engine.checkpoints import LoadedCheckpoint

NOBODY_HOME = (
    "There is no token to answer with: set DISCORD_TOKEN (from https://discord.com/developers/applications) or "
    "TELEGRAM_TOKEN (from @BotFather, https://t.me/BotFather) in the environment or in .env."
)
MISCONFIGURED = (SettingsError, PersonaError, CardError)
BROKEN = (HistoryError, ValkeyError)
UNTOUCHED = "embedded"

PlatformMaker = Callable[[Replier], Platform]


@dataclass(frozen=True, slots=True)
class House:
    """What is needed to talk: the parts that the terminal and the platforms share."""

    engine: ReplyEngine
    chooser: Chooser
    history: ConversationHistory
    replier: Replier


@asynccontextmanager
async def open_house(
    settings: Settings, *, fresh: bool = False, seed: int | None = None, engine: ReplyEngine | None = None
) -> AsyncIterator[House]:
    """Open everything but the platforms, the model loading behind, and close it all afterwards.

    `fresh` keeps the history in memory only; with a `seed` the replies of a process repeat; an
    `engine` is used instead of the model. Raises PersonaError, CardError, HistoryError, ValkeyError.
    """
    folder = _checkpoint(settings)
    personas = _personas(folder, _beside(settings))
    options = ReplierOptions(
        default_persona=settings.persona,
        seed=seed,
        model=folder.name if folder else UNTOUCHED,
        days=None if fresh else settings.history_days,
        filter=settings.filter,
    )
    async with AsyncExitStack() as stack:
        if engine is None:
            engine = _engine(settings, folder)
        stack.push_async_callback(engine.aclose)
        history = EphemeralHistory() if fresh else await _history(settings, stack)
        chooser = _chooser(settings, folder, engine, personas)
        replier = Replier(chooser, history, personas, options)
        stack.push_async_callback(replier.aclose, 0.0)  # who waited for a reply has left
        yield House(engine, chooser, history, replier)


async def run(
    settings: Settings, *, makers: Mapping[str, PlatformMaker] | None = None, engine: ReplyEngine | None = None
) -> int:
    """Serve every platform that has a token until SIGINT or SIGTERM; return the exit code.

    `makers`, by platform, and `engine` are used instead of what the settings ask for.
    0: told to stop; 1: no platform could go on, or the history or the model is out of reach; 2: the
    configuration is wrong. What went wrong is said on stderr in a sentence.
    """
    try:
        makers = _makers(settings) if makers is None else makers
    except ImportError as error:
        say(f"The package {error.name} cannot be imported: install echochamber[bot].")
        return 1
    if not makers:
        say(NOBODY_HOME)
        return 2
    stop = asyncio.Event()
    with set_by_signals(stop):
        try:
            async with open_house(settings, engine=engine) as house:
                platforms = {name: make(house.replier) for name, make in makers.items()}
                return await serve(platforms, stop, _loaded(house.engine), house.replier.aclose)
        except MISCONFIGURED as error:
            say(str(error))
            return 2
        except BROKEN as error:
            say(str(error))
            return 1


def main() -> int:
    """Read the settings and run; the whole of `python -m bot`."""
    try:
        settings = load_settings()
        tokens = (settings.discord_token, settings.telegram_token, settings.redis_url, settings.engine_key)
        logs.set_up(settings.log_level, secret=[one.get_secret_value() for one in tokens if one])
        code = asyncio.run(run(settings))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one more Ctrl-C while the interpreter ends says nothing
        if left_behind():
            os._exit(code)  # a model that is still loading would not let the interpreter end
        return code
    except SettingsError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:  # before the event loop listens to signals, or after
        return 0


async def _loaded(engine: ReplyEngine) -> str | None:
    """Wait for the model, and return what there is to know of it."""
    return (await engine.ready()).notice


async def _history(settings: Settings, stack: AsyncExitStack) -> ConversationHistory:
    from bot.history import History  # noqa: PLC0415 - `--fresh` needs no Redis client

    if settings.redis_url is None:
        url = await stack.enter_async_context(local_valkey(settings.data_dir))
    else:
        url = settings.redis_url.get_secret_value()
    history = await History.connect(url, days=settings.history_days)
    stack.push_async_callback(history.aclose)
    return history


def _engine(settings: Settings, folder: Path | None) -> ReplyEngine:
    if settings.engine_url is not None:
        from bot.engine.completions import Server  # noqa: PLC0415 - an HTTP client that the local engine does not need
        from bot.engine.remote import remote_engine  # noqa: PLC0415 - likewise

        if settings.adapters:
            raise SettingsError("ADAPTERS must be unset where ENGINE_URL is set: a server speaks with one model")
        key = settings.engine_key.get_secret_value() if settings.engine_key else None
        server = Server(settings.engine_url, settings.engine_model, key, settings.engine_seconds)
        return remote_engine(server, folder, cache=settings.cache_dir, tell=say, queue_size=settings.queue_size)

    def load() -> "LoadedCheckpoint":
        from bot.engine.checkpoints import load_checkpoint  # noqa: PLC0415 - loads torch

        return load_checkpoint(
            folder,
            cache=settings.cache_dir,
            device=settings.device,
            precision=settings.precision,
            beside=_beside(settings),
            tell=say,
        )

    engine = LocalEngine(load, queue_size=settings.queue_size, cache_mb=settings.cache_mb)
    engine.start()
    return engine


def _chooser(settings: Settings, folder: Path | None, engine: ReplyEngine, personas: Sequence[Persona]) -> Chooser:
    weights = Weights.from_mapping(read_card(folder).ranking) if folder else Weights()
    found = [CopiedLines.read(one) for one in (folder, *_beside(settings)) if one]
    known = [one for one in found if one is not None]
    options = ChooserOptions(
        Sampling(settings.temperature, settings.top_p, settings.min_p),
        settings.longest_reply,
        settings.candidates,
        weights=weights,
    )
    return Chooser(engine, personas, options, copied=lambda text: any(one.copies(text) for one in known))


def _personas(folder: Path | None, beside: Sequence[Path]) -> tuple[Persona, ...]:
    """Return everybody who can be talked to; an adapter beside the first speaks for its own characters."""
    folders = [*([folder] if folder else []), *beside]
    if not folders:
        return friends()
    return tuple({persona.id: persona for one in folders for persona in read_card(one).characters}.values())


def _beside(settings: Settings) -> list[Path]:
    named = (one.strip() for one in settings.adapters.split(","))
    try:
        return [checkpoint_folder(Path(one).expanduser()) for one in named if one]
    except RuntimeError as error:
        raise SettingsError("ADAPTERS names a home folder that does not exist: give whole paths") from error


def _checkpoint(settings: Settings) -> Path | None:
    return shipped_checkpoint() if settings.model is None else checkpoint_folder(settings.model)


def _makers(settings: Settings) -> dict[str, PlatformMaker]:
    makers: dict[str, PlatformMaker] = {}
    if settings.discord_token is not None:
        makers["Discord"] = _discord(settings.discord_token.get_secret_value())
    if settings.telegram_token is not None:
        makers["Telegram"] = _telegram(settings.telegram_token.get_secret_value(), settings.telegram_api_url)
    return makers


def _discord(token: str) -> PlatformMaker:
    from bot.platforms.discord import DiscordPlatform  # noqa: PLC0415 - only where there is a token

    return lambda replier: DiscordPlatform(token, replier)


def _telegram(token: str, api_url: str | None) -> PlatformMaker:
    from bot.platforms.telegram import TelegramPlatform  # noqa: PLC0415 - only where there is a token

    return lambda replier: TelegramPlatform(token, replier, api_url=api_url)
