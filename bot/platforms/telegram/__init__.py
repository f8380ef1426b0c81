"""Telegram: updates in, replies out, and no decision about what is said."""

from bot.platforms.telegram.adapter import TelegramPlatform

__all__ = ["TelegramPlatform"]
