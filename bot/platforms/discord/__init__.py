"""Discord: messages and slash commands in, replies out, and no decision about what is said.

The privileged message-content intent is not asked for: Discord shows the words of direct messages
and of messages that ping the bot, and hides all others.
"""

from bot.platforms.discord.adapter import DiscordPlatform

__all__ = ["DiscordPlatform"]
