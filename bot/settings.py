"""Settings: the only reader of the environment and of `.env`. Nothing is read at import.

A variable set to the empty string counts as unset. Whatever is wrong becomes a SettingsError of one
sentence, which names the variable and what is allowed and never shows a value: it may be a secret.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from platformdirs import user_cache_path, user_data_path
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot import words

APP = "echochamber"


class SettingsError(ValueError):
    """A setting that cannot be used, in one sentence without its value."""


def _setting(default: Any, description: str, allowed: str, **rules: Any) -> Any:
    """Make a field whose `allowed` text is what SettingsError says; a callable default is a factory."""
    extra: dict[str, Any] = {"allowed": allowed}
    if callable(default):
        return Field(default_factory=default, description=description, json_schema_extra=extra, **rules)
    return Field(default, description=description, json_schema_extra=extra, **rules)


def _in_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("there is no such home folder") from error


def _redis_address(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("not a Redis address")
    return url


def _one_word(token: SecretStr) -> SecretStr:
    word = token.get_secret_value().strip()
    if not word.isascii() or not word.isprintable() or " " in word:
        raise ValueError("not a token")
    return SecretStr(word)


Folder = Annotated[Path, AfterValidator(_in_home)]
Token = Annotated[SecretStr, AfterValidator(_one_word)]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda level: str(level).upper())]

Filter = Annotated[words.Level, BeforeValidator(lambda level: str(level).lower())]


class Settings(BaseSettings):
    """Every setting of the bot, under its variable's name in lower case."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    discord_token: Token | None = _setting(
        None,
        "The Discord bot's token, from https://discord.com/developers/applications (Bot, Reset Token).",
        "a bot token without spaces",
    )
    telegram_token: Token | None = _setting(
        None, "The Telegram bot's token, from https://t.me/BotFather (/newbot).", "a bot token without spaces"
    )
    telegram_api_url: str | None = _setting(
        None,
        "Address of a Bot API server of your own; unset means Telegram's.",
        "an address that begins with http:// or https://",
        pattern=r"^https?://\S+$",
    )
    redis_url: Annotated[SecretStr, AfterValidator(_redis_address)] | None = _setting(
        None,
        "Valkey or Redis (6.2 or newer) for the conversations; unset means a local Valkey that is started for you.",
        "an address that begins with redis://, rediss:// or unix://",
    )
    history_days: int = _setting(
        30, "Days of silence after which a conversation is gone.", "a whole number from 1 to 3650", ge=1, le=3650
    )
    persona: str = _setting(
        "joey", "Who answers where nobody has chosen a persona: an id, name or alias.", "a character's name"
    )
    model: Folder | None = _setting(
        None, "Folder of a checkpoint of your own; unset means the model that ships.", "the path of a folder"
    )
    device: str = _setting(
        "auto",
        "Where the model runs: auto, cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.",
        "auto, cpu, cuda, mps, or one of these with a number such as cuda:1",
        pattern=r"^(auto|(cpu|cuda|mps|xpu)(:\d+)?)$",
    )
    engine_url: str | None = _setting(
        None,
        "Address of an OpenAI-compatible server that runs the model (vLLM, llama.cpp); unset means this process does.",
        "an address that begins with http:// or https:// and holds no login",
        pattern=r"^https?://[^\s@]+$",
    )
    engine_model: str | None = _setting(
        None, "The model's name on that server; unset means the only one it has.", "a model's name"
    )
    engine_key: Token | None = _setting(None, "The key for that server, where it asks for one.", "a key without spaces")
    engine_seconds: float = _setting(
        60, "Seconds that the server may take for an answer.", "a number from 1 to 3600", ge=1, le=3600
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = _setting(
        "auto",
        "The model's number format: auto (the fastest that holds quality here), fp32, bf16, fp16 or int8.",
        "auto, fp32, bf16, fp16 or int8",
    )
    adapters: str = _setting(
        "",
        "Folders of further adapters on the model's base, separated by commas; each speaks for its characters.",
        "the paths of folders, separated by commas",
    )
    cache_mb: int = _setting(
        512,
        "Mebibytes for what was computed of conversations; the least recently used are computed again.",
        "a whole number from 1 to 1000000",
        ge=1,
        le=1_000_000,
    )
    data_dir: Folder = _setting(
        lambda: user_data_path(APP, appauthor=False),
        "Folder of the local Valkey server's data; unset means the user's data folder.",
        "the path of a folder",
    )
    cache_dir: Folder = _setting(
        lambda: user_cache_path(APP, appauthor=False),
        "Folder for unpacked models; unset means the user's cache folder.",
        "the path of a folder",
    )
    log_level: Level = _setting(
        "INFO", "How much is logged: DEBUG, INFO, WARNING or ERROR.", "DEBUG, INFO, WARNING or ERROR"
    )
    queue_size: int = _setting(
        32,
        "Replies that may wait for the model before people are told that it is busy.",
        "a whole number from 1 to 10000",
        ge=1,
        le=10_000,
    )
    temperature: float = _setting(
        0.8, "How freely the next word is drawn; 0 always takes the likeliest.", "a number from 0 to 2", ge=0, le=2
    )
    top_p: float = _setting(
        0.95, "Share of the likeliest next words that is drawn from.", "a number above 0 and up to 1", gt=0, le=1
    )
    min_p: float = _setting(
        0.05,
        "Next words less likely than this share of the likeliest are never drawn.",
        "a number from 0 to below 1",
        ge=0,
        lt=1,
    )
    candidates: int | None = _setting(
        None,
        "Replies drawn for each one that is sent, the best of them; unset means 8, on a GPU 16.",
        "a whole number from 1 to 64",
        ge=1,
        le=64,
    )
    longest_reply: int = _setting(60, "Longest reply in tokens.", "a whole number from 1 to 256", ge=1, le=256)
    filter: Filter = _setting(
        words.DEFAULT_LEVEL,
        "What is kept back where no /filter was chosen: off, slurs (and threats), strict (swearing, too).",
        "off, slurs or strict",
    )


class Row(NamedTuple):
    """A setting as people see it; `default` is empty where unset means something described."""

    name: str
    default: str
    description: str


def load_settings(env_file: Path | None = Path(".env"), **overrides: Any) -> Settings:
    """Read the environment, then `env_file` for what it leaves unset; raises SettingsError.

    `overrides` are fields given on the command line; None leaves a field alone.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(_env_file=env_file, **given)  # type: ignore[call-arg]  # an init option of BaseSettings
    except ValidationError as error:
        field = str(error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"][0]).lower()
        raise SettingsError(f"{field.upper()} must be {_allowed(field)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {env_file} cannot be read ({type(error).__name__})") from None


def settings_table() -> list[Row]:
    """Return every setting, in the order of `.env.example` and of the table in the README."""
    return [
        Row(name.upper(), "" if field.default_factory or field.default is None else str(field.default), about)
        for name, field in Settings.model_fields.items()
        if (about := field.description)
    ]


def env_example() -> str:
    """Render `.env.example`: every setting with its default, which changes nothing when copied."""
    head = "# Copy to .env and fill in; the environment wins over the file, an empty value counts as unset.\n"
    return head + "".join(f"\n# {row.description}\n{row.name}={row.default}\n" for row in settings_table())


def _allowed(field: str) -> str:
    extra = Settings.model_fields[field].json_schema_extra
    return str(extra["allowed"]) if isinstance(extra, dict) else "valid"
