"""The embedded base's real tokenizer, unpacked once into the user's cache."""

import pytest

from bot.engine.bases import EMBEDDED, find_base
from bot.engine.tokenizer import HubTokenizer
from bot.settings import load_settings


@pytest.fixture(scope="session")
def embedded_tokenizer() -> HubTokenizer:
    return HubTokenizer.load(find_base(EMBEDDED, load_settings().cache_dir).folder)
