"""What a checkpoint answers to prompts of any file, as the bot serves it, in the pieces of an evaluation."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bench.strangers.chats import Chats
from bench.strangers.sheet import asks_of, by_number
from bot.engine.chooser import ChooserOptions
from bot.engine.protocol import Sampling
from bot.engine.shipped import checkpoint_folder
from bot.settings import load_settings
from bot.words import offensive
from persona.card import read_card
from training.evaluation.pieces import Ledger
from training.evaluation.plan import Plan
from training.evaluation.served import Serving, compute, serve
from training.evaluation.strangers import Prompt


def answer(model: Path, asked: Sequence[Prompt] | Chats, rounds: int, out: Path, *, untouched: bool = False) -> None:
    """Write what the checkpoint in `model`, or its base, answers into `out`; what is there is kept.

    The characters of its card answer in turn. Raises CardError, EngineError or SettingsError.
    """
    folder = checkpoint_folder(model)
    card = read_card(folder)
    settings = load_settings()
    sampling = Sampling(settings.temperature, settings.top_p, settings.min_p)
    serving = Serving(
        None if untouched else folder, settings.cache_dir, card.base.name, offensive=offensive(settings.filter),
        options=ChooserOptions(sampling, settings.longest_reply, settings.candidates),
    )  # fmt: skip

    async def work() -> None:
        async with serve(serving, card.characters) as served:
            ledger = Ledger(out)
            if not isinstance(asked, Chats):
                plans = iter([asks_of(asked, rounds, card.characters)])
            else:
                plans = (tuple(asked.asks(turn, card.characters, by_number(ledger))) for turn in range(asked.turns))
            for asks in plans:
                await compute(Plan((), asks), served, ledger, lambda done: None)

    asyncio.run(work())
