"""Slash commands. Each begins its work before anything else is awaited, so that order is kept."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import discord
from discord import app_commands

from bot import logs
from bot.commands import filter_sentence
from bot.conversation import HistoryError
from bot.platforms.discord.messages import LONGEST
from bot.platforms.discord.sending import deliver
from bot.platforms.pieces import pieces
from bot.words import LEVELS, MEANING, LevelError
from persona.characters import Persona, PersonaError, folded

if TYPE_CHECKING:
    from bot.platforms.discord.client import DiscordClient

Interaction: TypeAlias = "discord.Interaction[DiscordClient]"

CHOICES = 25  # what Discord shows at most
FAILED = "Something went wrong. Try again in a moment."
NO_MODERATOR = "Only who may manage messages here can change the filter."

_log = logs.logger("platforms.discord")


@app_commands.command(description="Choose who you talk to here")
@app_commands.describe(name="Name of a character")
async def persona(interaction: Interaction, name: str) -> None:
    """Choose the conversation's persona and let it greet."""
    replier, here = interaction.client.replier, interaction.client.address(interaction.channel)

    async def choose() -> str:
        chosen = await replier.choose_persona(here, name)
        return f"{chosen.name}: {chosen.greeting}"

    await _answer(interaction, choose())


@persona.autocomplete("name")
async def persona_names(interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
    """Offer the personas whose id, name or alias contains what is typed so far."""
    found = [one for one in interaction.client.replier.personas if _matches(one, current)]
    return [app_commands.Choice(name=one.name[:100], value=one.id[:100]) for one in found[:CHOICES]]


@app_commands.command(name="filter", description="How the bot minds its language in this channel")
@app_commands.describe(level="How strict; nothing to see what holds now")
@app_commands.choices(level=[app_commands.Choice(name=f"{one}: {MEANING[one]}", value=one) for one in LEVELS])
async def filter_(interaction: Interaction, level: str | None = None) -> None:
    """Say what the channel's filter is, or set it: in a server, only for who may manage messages there."""
    replier, here = interaction.client.replier, interaction.client.address(interaction.channel)
    if level and interaction.guild_id and not interaction.permissions.manage_messages:
        await interaction.response.send_message(NO_MODERATOR, ephemeral=True)
        return

    async def set_or_show() -> str:
        return filter_sentence(await (replier.choose_filter(here, level) if level else replier.filter_of(here)))

    await _answer(interaction, set_or_show(), private=not level)


@app_commands.command(description="Empty this conversation")
async def reset(interaction: Interaction) -> None:
    """Empty the conversation."""
    replier, here = interaction.client.replier, interaction.client.address(interaction.channel)

    async def empty() -> str:
        await replier.reset(here)
        return "This conversation is empty now."

    await _answer(interaction, empty())


@app_commands.command(description="Delete what you said, everywhere")
async def forget(interaction: Interaction) -> None:
    """Delete the author's turns in every conversation; only the author is told."""
    replier, here = interaction.client.replier, interaction.client.address(interaction.channel)

    async def delete() -> str:
        count = await replier.forget(here, str(interaction.user.id))
        return f"Forgotten, in every conversation. Turns deleted: {count}."

    await _answer(interaction, delete(), private=True)


@app_commands.command(name="help", description="How this works and what is stored")
async def help_(interaction: Interaction) -> None:
    """Explain the commands and the memory to whoever asked."""
    for number, piece in enumerate(pieces(interaction.client.replier.help_text(), LONGEST)):
        send = interaction.followup.send if number else interaction.response.send_message
        await deliver(send, piece, ephemeral=True)


@app_commands.command(description="Say hello")
async def start(interaction: Interaction) -> None:
    """Let the conversation's persona greet."""
    replier, here = interaction.client.replier, interaction.client.address(interaction.channel)

    async def greet() -> str:
        present = await replier.persona_of(here)
        return f"{present.name}: {present.greeting}\n\n{replier.help_text()}"

    await _answer(interaction, greet())


COMMANDS: tuple[app_commands.Command[Any, Any, Any], ...] = (persona, filter_, reset, forget, help_, start)


async def command_failed(interaction: Interaction, error: app_commands.AppCommandError) -> None:
    """Log what went wrong without a word of what was typed."""
    _log_failure(interaction, getattr(error, "original", error))


async def _answer(interaction: Interaction, work: Coroutine[Any, Any, str], *, private: bool = False) -> None:
    """Say what `work` returns. It may have to wait for a reply in hand, so Discord is told to be patient."""
    with interaction.client.handling():
        patience = asyncio.create_task(interaction.response.defer(thinking=True, ephemeral=private))
        text = await _sentence(interaction, work)  # begins before `patience`
        await patience
        for piece in pieces(text, LONGEST):
            await deliver(interaction.followup.send, piece, ephemeral=private)


async def _sentence(interaction: Interaction, work: Coroutine[Any, Any, str]) -> str:
    try:
        return await work
    except (PersonaError, LevelError, HistoryError) as error:
        return str(error)
    except Exception as error:  # else Discord would show for ever that the bot is thinking
        _log_failure(interaction, error)
        return FAILED


def _log_failure(interaction: Interaction, error: BaseException) -> None:
    name = interaction.command.name if interaction.command else None
    _log.error("discord command could not be answered", command=name, error=type(error).__name__)


def _matches(one: Persona, typed: str) -> bool:
    return any(folded(typed) in folded(name) for name in (one.id, one.name, *one.aliases))
