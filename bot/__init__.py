"""Where it speaks: one async process for Discord, Telegram and the terminal."""
