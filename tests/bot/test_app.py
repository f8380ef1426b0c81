"""The house as a whole: what is opened, what goes on when a part fails, and how it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest
from tenacity import wait_fixed

from bot.app import main, open_house, run
from bot.conversation import Address
from bot.engine.local import LocalEngine
from bot.engine.protocol import GenerateRequest
from bot.engine.scripted import ScriptedEngine
from bot.platforms.errors import PlatformError, UnreachableError
from bot.replier import LEAVING, Incoming, Replier
from bot.settings import Settings, SettingsError, load_settings
from persona.dialogue import Turn

ROOT = Path(__file__).parents[2]
HERE = Address("console", "1", "c")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests gets in."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(tmp_path: Path, valkey_url: str) -> Settings:
    """Settings that leave nothing behind, with a Redis that is there."""
    return load_settings(None, redis_url=valkey_url, data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


@pytest.fixture
def engine() -> ScriptedEngine:
    """An engine that always answers."""
    return ScriptedEngine(["Hi."])


def message(text: str, number: int = 1) -> Incoming:
    """A message from Sam."""
    return Incoming(HERE, str(number), "7", "Sam", text, datetime.now(UTC))


class Answering:
    """A platform on which one message comes in; then somebody presses Ctrl-C."""

    def __init__(self, replier: Replier) -> None:
        self.replier = replier
        self.said: str | None = None
        self.stopped = False

    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.sleep(0.05)  # the others have failed by now
        reply = await self.replier.reply(message("hello"))
        self.said = reply.text if reply else None
        signal.raise_signal(signal.SIGINT)
        await stop.wait()
        self.stopped = True


class Failing:
    """A platform that cannot go on."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def run(self, stop: asyncio.Event) -> None:
        raise self.error


REFUSED = PlatformError("Failing does not accept this token.")


async def test_without_a_token_it_says_what_to_set_and_where_to_get_it(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(settings) == 2
    said = capsys.readouterr().err
    for word in (
        "DISCORD_TOKEN",
        "TELEGRAM_TOKEN",
        "https://discord.com/developers/applications",
        "https://t.me/BotFather",
    ):
        assert word in said
    assert said.count("\n") == 1


async def test_without_the_platforms_packages_it_says_what_to_install(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("bot.platforms.discord")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "discord", None)
    assert await run(load_settings(None, discord_token="x" * 20)) == 1
    assert capsys.readouterr().err == "The package discord cannot be imported: install echochamber[bot].\n"


@pytest.mark.parametrize("error", [REFUSED, KeyError("a fault")])
async def test_where_one_platform_fails_the_other_goes_on(
    error: Exception, settings: Settings, engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[Answering] = []

    def answering(replier: Replier) -> Answering:
        made.append(Answering(replier))
        return made[0]

    code = await run(settings, makers={"Failing": lambda _: Failing(error), "Answering": answering}, engine=engine)
    assert code == 0
    assert (made[0].said, made[0].stopped) == ("Hi.", True)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Failing" in said
    assert "Traceback" not in said


async def test_where_all_fail_it_ends(
    settings: Settings, engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    makers = {name: lambda _: Failing(REFUSED) for name in ("One", "Two")}
    assert await run(settings, makers=makers, engine=engine) == 1
    assert capsys.readouterr().err.splitlines() == [str(REFUSED), str(REFUSED)]


async def test_a_platform_that_is_out_of_reach_at_first_is_tried_again(
    settings: Settings, engine: ScriptedEngine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.retries.PAUSES", wait_fixed(0.01))

    class Late(Answering):
        away = 2

        async def run(self, stop: asyncio.Event) -> None:
            if self.away:
                self.away -= 1
                raise UnreachableError("Late cannot be reached.")
            await super().run(stop)

    made: list[Late] = []

    def late(replier: Replier) -> Late:
        made.append(Late(replier))
        return made[0]

    async with asyncio.timeout(10):
        assert await run(settings, makers={"Late": late}, engine=engine) == 0
    assert (made[0].said, made[0].stopped) == ("Hi.", True)
    assert capsys.readouterr().err == "Late cannot be reached. Trying again until it answers.\n"


async def test_waiting_for_a_platform_ends_at_once_where_it_is_told_to(
    settings: Settings, engine: ScriptedEngine
) -> None:
    asyncio.get_running_loop().call_later(0.3, signal.raise_signal, signal.SIGINT)
    makers = {"Away": lambda _: Failing(UnreachableError("Away cannot be reached."))}
    async with asyncio.timeout(3):
        assert await run(settings, makers=makers, engine=engine) == 0


async def test_who_waits_when_it_ends_is_told(settings: Settings) -> None:
    thinking, done = asyncio.Event(), asyncio.Event()

    async def gate(_: GenerateRequest) -> None:
        thinking.set()
        await done.wait()

    said: list[str] = []

    class Asked:
        def __init__(self, replier: Replier) -> None:
            self.replier = replier

        async def run(self, stop: asyncio.Event) -> None:
            first, second = (asyncio.create_task(self.replier.reply(message("hi", number))) for number in range(2))
            await thinking.wait()
            signal.raise_signal(signal.SIGINT)
            await stop.wait()
            await asyncio.sleep(0.05)
            done.set()
            said.extend(reply.text for reply in await asyncio.gather(first, second) if reply)

    async with asyncio.timeout(10):
        assert await run(settings, makers={"Asked": Asked}, engine=ScriptedEngine(["Hi."], gate=gate)) == 0
    assert said == ["Hi.", LEAVING]


async def test_a_model_that_cannot_be_loaded_ends_it(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    class Waiting:
        async def run(self, stop: asyncio.Event) -> None:
            await stop.wait()

    def load() -> NoReturn:
        raise ImportError("no torch", name="torch")

    assert await run(settings, makers={"Waiting": lambda _: Waiting()}, engine=LocalEngine(load)) == 1
    assert "torch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ({"persona": "gunther"}, 2, "gunther"),
        ({"model": "no-such-folder"}, 2, "no-such-folder"),
        ({"redis_url": "redis://:hunter2@127.0.0.1:1/0"}, 1, "127.0.0.1:1"),
    ],
)
async def test_a_wrong_setting_is_one_sentence(
    wrong: dict[str, str], code: int, said: str, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(None, **{"redis_url": settings.redis_url, "data_dir": settings.data_dir} | wrong)
    engine = ScriptedEngine(["Hi."])
    assert await run(settings, makers={"Failing": lambda _: Failing(REFUSED)}, engine=engine) == code
    heard = capsys.readouterr().err
    assert said in heard
    assert heard.count("\n") == 1
    assert "hunter2" not in heard


async def test_a_house_remembers_the_next_time(settings: Settings) -> None:
    for number, text in enumerate(("before", "after")):
        engine = ScriptedEngine(["Hi."])
        async with open_house(settings, engine=engine) as house:
            await house.replier.reply(message(text, number))
    said = list(engine.asked[-1].conversation.turns)
    assert said == [Turn("Sam", "before"), Turn("Joey Tribbiani", "Hi."), Turn("Sam", "after")]


async def test_a_fresh_house_stores_nothing_and_counts_its_seeds(tmp_path: Path) -> None:
    settings = load_settings(None, data_dir=tmp_path / "data")
    for _ in range(2):
        engine = ScriptedEngine(["Hi."])
        async with open_house(settings, fresh=True, seed=5, engine=engine) as house:
            for number in range(2):
                await house.replier.reply(message("hello", number))
        assert [request.seed for request in engine.asked] == [5, 6]
        assert engine.asked[0].conversation.turns == (Turn("Sam", "hello"),)
    assert not (tmp_path / "data").exists()


async def test_the_settings_reach_the_engine(engine: ScriptedEngine) -> None:
    settings = load_settings(None, temperature=0.5, top_p=0.7, longest_reply=9, persona="phoebe")
    async with open_house(settings, fresh=True, engine=engine) as house:
        await house.replier.reply(message("hello"))
    (request,) = engine.asked
    assert (request.sampling.temperature, request.sampling.top_p, request.longest) == (0.5, 0.7, 9)
    assert request.persona.id == "phoebe"


async def test_without_a_redis_a_local_server_is_started_and_stopped(tmp_path: Path, engine: ScriptedEngine) -> None:
    settings = load_settings(None, data_dir=tmp_path)
    async with open_house(settings, engine=engine) as house:
        reply = await house.replier.reply(message("hello"))
        assert reply is not None
        assert reply.text == "Hi."
        assert (tmp_path / "valkey" / "valkey.pid").exists()
    assert not (tmp_path / "valkey" / "valkey.pid").exists()


def test_a_wrong_variable_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HISTORY_DAYS", "soon")
    assert main() == 2
    assert capsys.readouterr().err == "HISTORY_DAYS must be a whole number from 1 to 3650\n"


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A process of our own; whatever the test does, it is gone afterwards."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("manners", "signals"),
    [
        ("polite", [signal.SIGINT]),
        ("polite", [signal.SIGTERM]),
        ("polite", [signal.SIGINT, signal.SIGINT, signal.SIGTERM]),
        ("deaf", [signal.SIGINT, signal.SIGINT]),
    ],
)
def test_a_signal_ends_it_in_order(manners: str, signals: list[signal.Signals], tmp_path: Path) -> None:
    with running(str(Path(__file__).with_name("house.py")), str(tmp_path), manners) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        for one in signals:
            process.send_signal(one)
        said, complaints = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said == ("down\n" if manners == "polite" else "")
    assert complaints == ""
    assert not (tmp_path / "valkey" / "valkey.pid").exists()  # the server has ended too


def test_the_module_runs_without_torch_where_there_is_no_token(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['torch'] = None; import runpy; runpy.run_module('bot', run_name='__main__')"
    with running("-c", blocked) as process:
        said, complaints = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said == ""
    assert "DISCORD_TOKEN" in complaints
    assert "TELEGRAM_TOKEN" in complaints
    assert "Traceback" not in complaints


async def test_adapters_in_a_home_that_nobody_has_are_said_in_a_sentence():
    settings = load_settings(None, adapters="~nobody-of-that-name/adapter")
    with pytest.raises(SettingsError, match="ADAPTERS names a home folder that does not exist"):
        async with open_house(settings, fresh=True, engine=ScriptedEngine(["Hi."])):
            pass
