"""python-telegram-bot's application: logging in, polling, and ending within seconds."""

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from telegram import LinkPreviewOptions, Update
from telegram.error import InvalidToken, TelegramError
from telegram.ext import (
    AIORateLimiter,
    Application,
    ApplicationBuilder,
    CallbackContext,
    Defaults,
    SimpleUpdateProcessor,
    Updater,
)
from telegram.request import HTTPXRequest

from bot import logs
from bot.platforms.errors import PlatformError, UnreachableError

REFUSED = "Telegram does not accept this token: get one from @BotFather (https://t.me/BotFather) as TELEGRAM_TOKEN."
UNREACHABLE = "Telegram cannot be reached: check the network, and TELEGRAM_API_URL where it is set."
ATTEMPTS, START_SECONDS, MENU_SECONDS = 3, 20.0, 5.0
POLLING_SECONDS = 1.5  # for polling to end
SLOTS = 1024  # updates in hand: a flood fills those of its own chat only (`bot.platforms.crowd`)

Context = CallbackContext[Any, Any, Any, Any]

_log = logs.logger("platforms.telegram")


class Client:
    """One bot account on a Bot API server, Telegram's own where `api_url` is None.

    `grace` is how many seconds the updates in hand may take when closing.
    """

    def __init__(self, token: str, api_url: str | None, grace: float) -> None:
        """Raise PlatformError where the token is empty."""
        self._grace = grace
        self._polling = _Polling()
        self._handling = _Handling()
        builder = ApplicationBuilder().concurrent_updates(self._handling).job_queue(None)
        builder.rate_limiter(MessageRateLimiter(max_retries=3)).get_updates_request(self._polling)
        no_preview = LinkPreviewOptions(is_disabled=True)
        builder.defaults(Defaults(do_quote=True, allow_sending_without_reply=True, link_preview_options=no_preview))
        if api_url is not None:
            builder.base_url(f"{api_url.rstrip('/')}/bot")
        try:
            self.application: Application[Any, Any, Any, Any, Any, Any] = builder.token(token).build()
        except InvalidToken:
            raise PlatformError(REFUSED) from None
        self.application.add_error_handler(_failed)
        self._updater = cast(Updater, self.application.updater)

    @property
    def began(self) -> datetime:
        """When the first updates came, by the server's clock where it tells the time: messages are dated by it."""
        return self._polling.began

    async def serve(self, commands: Mapping[str, str]) -> None:
        """Log in and handle updates until cancelled, or until PlatformError says why that is over.

        `commands` and what they do become the menu that people see.
        """
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._log_in()
                with suppress(TelegramError, TimeoutError):  # the commands work without their menu
                    async with asyncio.timeout(MENU_SECONDS):  # told to slow down, the limiter would wait for long
                        await self.application.bot.set_my_commands(list(commands.items()))
                await self.application.start()
                wanted = [Update.MESSAGE, Update.CALLBACK_QUERY]
                await self._updater.start_polling(allowed_updates=wanted, error_callback=_polling_failed)
        except InvalidToken:
            raise PlatformError(REFUSED) from None  # the library's message contains the token
        except (TelegramError, TimeoutError):
            raise UnreachableError(UNREACHABLE) from None
        _log.info("telegram is listening")
        await self._polling.refused.wait()
        raise PlatformError(REFUSED)

    async def close(self) -> None:
        """End polling, let the updates in hand finish or give them up, and close every connection."""
        if self._updater.running:
            await _given_up_after(POLLING_SECONDS, self._updater.stop())
        if self.application.running:
            stopping = asyncio.create_task(self.application.stop())
            await asyncio.wait({stopping}, timeout=self._grace)
            self._handling.give_up()
            await stopping
        await self.application.shutdown()
        await self.application.bot.shutdown()  # a bot that never got to log in left its connections open

    async def _log_in(self) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self.application.initialize()
                break
            except TelegramError as error:
                if isinstance(error, InvalidToken) or attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(1)


class _Handling(SimpleUpdateProcessor):
    """Handles updates concurrently, and can give up those in hand."""

    def __init__(self) -> None:
        super().__init__(max_concurrent_updates=SLOTS)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def do_process_update(self, update: object, coroutine: Awaitable[Any]) -> None:
        task = cast(asyncio.Task[Any], asyncio.current_task())
        self._tasks.add(task)
        try:
            await coroutine
        finally:
            self._tasks.discard(task)

    def give_up(self) -> None:
        for task in self._tasks:
            task.cancel()


class MessageRateLimiter(AIORateLimiter):
    """Counts what is said: typing indicators and questions would use up a group's twenty messages a minute."""

    async def process_request(self, *args: Any, **request: Any) -> Any:
        """Make a request of the library's when its time has come; `endpoint` is the method's name."""
        if request["endpoint"] in {"sendChatAction", "getChatMember"}:
            return await request["callback"](*request["args"], **request["kwargs"])
        return await super().process_request(*args, **request)


class _Polling(HTTPXRequest):
    """Notices a token that is taken back: the library's polling task just ends then. Reads the server's clock."""

    def __init__(self) -> None:
        super().__init__(connection_pool_size=1, httpx_kwargs={"event_hooks": {"response": [self._hear]}})
        self.refused = asyncio.Event()
        self.began = datetime.now(UTC)
        self._heard = False

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        code, payload = await super().do_request(*args, **kwargs)
        if code in (401, 404):
            self.refused.set()
        return code, payload

    async def _hear(self, response: Any) -> None:
        if not self._heard:
            with suppress(KeyError, ValueError):  # no date, or none that can be read
                self.began = parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
                self._heard = True


async def _given_up_after(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Do some work of the library's, which swallows the first cancellation and goes on."""
    task = asyncio.create_task(work)
    await asyncio.wait({task}, timeout=seconds)
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("telegram polling did not end cleanly", error=type(error).__name__)


def _polling_failed(error: TelegramError) -> None:
    _log.warning("telegram updates cannot be fetched, trying again", error=type(error).__name__)


async def _failed(update: object, context: Context) -> None:
    _log.error("telegram update could not be answered", error=type(context.error).__name__)
