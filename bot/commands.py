"""What people ask of a conversation besides an answer. Knows no platform, no model, no database."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext

from bot.conversation import Address, ConversationHistory
from bot.messages import Incoming, ReplierOptions
from bot.turns import TurnTaking
from bot.words import LEVELS, MEANING, Level, find_level
from persona.characters import Persona, find_persona

PLAYED = "Whoever answers here is a character, played by a computer program: also where it says that it is real."


class Commands:
    """The commands of `bot.replier.Replier`; all raise HistoryError, whose sentence may be shown to the user."""

    def __init__(self, history: ConversationHistory, personas: Sequence[Persona], options: ReplierOptions) -> None:
        """Raise PersonaError where the default persona is not among `personas`."""
        self.personas = tuple(personas)
        self._history = history
        self._options = options
        self._default = find_persona(options.default_persona, self.personas)
        self._turns = TurnTaking()
        self._forgotten: dict[tuple[str, str, str], int] = {}

    async def once(
        self, command: Incoming, do: Callable[[Incoming], Awaitable[str]], *, in_turn: bool = False
    ) -> str | None:
        """Do what a command asks for; None where that was done before (a message delivered twice).

        `in_turn` takes its place in the conversation's queue before anything is awaited.
        """
        async with self._turns.turn(command.address) if in_turn else nullcontext():
            if not await self._history.first_time(command.address, command.message_id):
                return None
            return await do(command)

    async def persona_of(self, address: Address) -> Persona:
        """Return the persona chosen for this conversation, else the default."""
        chosen = await self._history.persona(address)
        return next((one for one in self.personas if one.id == chosen), self._default)

    async def choose_persona(self, address: Address, wanted: str) -> Persona:
        """Let another persona speak in this conversation; raises PersonaError if there is none such."""
        persona = find_persona(wanted, self.personas)
        async with self._turns.turn(address):
            await self._history.choose(address, persona.id)
        return persona

    async def filter_of(self, address: Address) -> Level:
        """Return the level of the filter that this chat has chosen, else the default."""
        chosen = await self._history.filter_level(address)
        return next((level for level in LEVELS if level == chosen), self._options.filter)

    async def choose_filter(self, address: Address, wanted: str) -> Level:
        """Set the filter of the whole chat; raises LevelError if there is none such.

        Who may do so in a group is for the platform to know.
        """
        level = find_level(wanted)
        async with self._turns.turn(address):
            await self._history.set_filter_level(address, level)
        return level

    async def reset(self, address: Address) -> None:
        """Empty the conversation for all personas; the chosen one stays, and so does the filter."""
        async with self._turns.turn(address):
            await self._history.reset(address)

    async def forget(self, address: Address, author_id: str) -> int:
        """Drop the author's turns, and the answers to them, in every conversation of this bot.

        Does not wait for replies in hand: they are still given, but no longer stored.
        """
        author = (address.platform, address.bot_id, author_id)
        self._forgotten[author] = self._forgotten.get(author, 0) + 1
        return await self._history.forget(*author)

    async def migrate(self, old: Address, new: Address) -> None:
        """Move a chat, with all its threads, that has got another id."""
        # The new one first: what is said there meanwhile has to wait for the persona and the filter.
        async with self._turns.turn(new), self._turns.turn(old):
            await self._history.migrate(old, new)

    def help_text(self) -> str:
        """Return the commands, who is talking, and what is stored for how long."""
        days = self._options.days
        kept = (
            "Nothing of this conversation is stored."
            if days is None
            else "I keep the messages addressed to me and my replies, with the names shown on them, "
            f"until this conversation has been silent for {days} day{'s' if days != 1 else ''}."
        )
        names = ", ".join(persona.id for persona in self.personas)
        return "\n".join(
            (
                f"/persona NAME - talk to somebody else: {names}",
                f"/filter LEVEL - how I mind my language: {', '.join(LEVELS)}; in a group an administrator chooses",
                "/reset - forget this conversation",
                "/forget - forget everything you ever said to me, everywhere, and my answers to it",
                "/help - this text",
                "",
                PLAYED,
                kept,
            )
        )


def filter_sentence(level: Level) -> str:
    """Say what a level of the filter means."""
    return f"The filter is {level}: {MEANING[level]}."
