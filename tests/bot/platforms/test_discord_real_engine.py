"""The shipped adapter and the real engine behind Discord: slow, so once."""

from typing import Any

import discord
import simcord

from bot.conversation import ConversationHistory
from bot.engine.chooser import Chooser
from bot.platforms.discord.client import DiscordClient
from bot.replier import Replier, ReplierOptions
from tests.bot.platforms.test_real_engine import Recording, assert_said_in_full, engine, loaded

__all__ = ["engine", "loaded"]


async def test_a_discord_message_gets_a_whole_reply(
    engine: Recording,
    loaded: Any,
    history: ConversationHistory,
) -> None:
    chooser = Chooser(engine, loaded.personas, longest=120)
    options = ReplierOptions(seed=1, seconds=1e9)  # simcord's clock, in which the deadline is set, is not the engine's
    replier = Replier(chooser, history, loaded.personas, options)
    intents = discord.Intents.default()
    async with simcord.run(DiscordClient(replier), approved_intents=intents, settle_timeout=300) as env:
        sam = env.create_user("sam")
        await sam.send_dm("Hey Joey, do you want to get some pizza?")
        (sent,) = [one for one in sam.dm_channel.history() if one.author.id != sam.id]
    assert_said_in_full(sent.content, engine, loaded.personas)
