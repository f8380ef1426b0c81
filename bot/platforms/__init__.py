"""Translation between each platform and `bot.replier`; no decisions are made here."""
