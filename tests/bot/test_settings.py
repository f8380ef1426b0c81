"""Settings from the environment and `.env`, their errors, and `.env.example`."""

import os
from pathlib import Path

import pytest

from bot.settings import Settings, SettingsError, env_example, load_settings, settings_table

ROOT = Path(__file__).parents[2]
SECRET = "hunter2-secret-value"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests gets in."""
    for name in Settings.model_fields:
        for spelled in (name, name.upper()):
            monkeypatch.delenv(spelled, raising=False)


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings(None)
    assert (settings.discord_token, settings.telegram_token, settings.redis_url, settings.model) == (None,) * 4
    assert (settings.persona, settings.history_days, settings.queue_size, settings.longest_reply) == (
        "joey",
        30,
        32,
        60,
    )
    assert (settings.engine_url, settings.engine_model, settings.engine_key, settings.engine_seconds) == (
        *[None] * 3,
        60,
    )
    assert (settings.temperature, settings.top_p, settings.device, settings.log_level) == (0.8, 0.95, "auto", "INFO")
    assert settings.data_dir.is_absolute()
    assert settings.data_dir != settings.cache_dir


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("PERSONA=ross\nHISTORY_DAYS=7\nSOMEBODY_ELSES=1\n", encoding="utf-8")
    monkeypatch.setenv("PERSONA", "phoebe")
    settings = load_settings(file)
    assert (settings.persona, settings.history_days) == ("phoebe", 7)


def test_the_command_line_wins_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONA", "phoebe")
    assert load_settings(None, persona="monica", model=None).persona == "monica"


def test_an_empty_value_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(name.upper(), "")
    assert load_settings(None) == load_settings(None, persona="joey")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DISCORD_TOKEN", f"two words {SECRET}", "a bot token without spaces"),
        ("TELEGRAM_TOKEN", f"{SECRET}\N{SNOWMAN}", "a bot token without spaces"),
        ("TELEGRAM_API_URL", f"ftp://{SECRET}", "http:// or https://"),
        ("REDIS_URL", f"http://:{SECRET}@host", "redis://, rediss:// or unix://"),
        ("HISTORY_DAYS", "0", "a whole number from 1 to 3650"),
        ("HISTORY_DAYS", "a week", "a whole number from 1 to 3650"),
        ("DEVICE", "gpu", "auto, cpu, cuda"),
        ("ENGINE_URL", f"localhost:8000/{SECRET}", "http:// or https://"),
        ("ENGINE_URL", f"http://somebody:{SECRET}@host", "no login"),
        ("ENGINE_KEY", f"two words {SECRET}", "a key without spaces"),
        ("ENGINE_SECONDS", "0", "a number from 1 to 3600"),
        ("PRECISION", "int4", "auto, fp32, bf16"),
        ("CACHE_MB", "0", "a whole number from 1 to 1000000"),
        ("MIN_P", "1", "a number from 0 to below 1"),
        ("CANDIDATES", "0", "a whole number from 1 to 64"),
        ("MODEL", "~nobody-has-this-name/model", "the path of a folder"),
        ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING or ERROR"),
        ("QUEUE_SIZE", "-1", "a whole number from 1 to 10000"),
        ("TEMPERATURE", "nan", "a number from 0 to 2"),
        ("TEMPERATURE", "3", "a number from 0 to 2"),
        ("TOP_P", "0", "a number above 0 and up to 1"),
        ("LONGEST_REPLY", "1000", "a whole number from 1 to 256"),
        ("FILTER", "on", "off, slurs or strict"),
    ],
)
def test_a_wrong_value_is_one_sentence_without_it(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(None)
    sentence = str(caught.value)
    assert sentence.startswith(f"{name} must be ")
    assert said in sentence
    assert "\n" not in sentence
    assert SECRET not in sentence
    assert caught.value.__cause__ is None  # pydantic's own error shows what it was given
    assert caught.value.__suppress_context__


def test_a_file_that_is_not_text_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"PERSONA=\xff\xfe")
    with pytest.raises(SettingsError, match=r"cannot be read \(UnicodeDecodeError\)"):
        load_settings(file)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISCORD_TOKEN", "TELEGRAM_TOKEN", "ENGINE_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@localhost")
    assert SECRET not in repr(load_settings(None))


def test_spaces_around_a_token_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", f" {SECRET}\n")
    token = load_settings(None).discord_token
    assert token is not None
    assert token.get_secret_value() == SECRET


def test_a_filter_is_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(None).filter == "slurs"
    monkeypatch.setenv("FILTER", "Strict")
    assert load_settings(None).filter == "strict"


def test_folders_may_start_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL", "~/checkpoint")
    assert load_settings(None).model == Path.home() / "checkpoint"


def test_the_table_has_every_setting_with_a_description() -> None:
    rows = settings_table()
    assert [row.name for row in rows] == [name.upper() for name in Settings.model_fields]
    assert all(row.description.endswith(".") and "\n" not in row.description for row in rows)
    assert ("HISTORY_DAYS", "30") in [row[:2] for row in rows]
    assert str(Path.home()) not in env_example()


def test_the_example_file_equals_the_settings() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example()


def test_the_example_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(env_example(), encoding="utf-8")
    assert load_settings(file) == load_settings(None)


def test_reading_settings_leaves_the_environment_alone() -> None:
    before = dict(os.environ)
    load_settings(ROOT / ".env.example")
    assert dict(os.environ) == before
