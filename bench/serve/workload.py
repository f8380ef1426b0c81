"""What is asked: conversations that are known or new, all at once or one by one, and how long it took."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.serve.conversations import Talk
from bench.serve.parties import Party, Said
from persona.dialogue import Turn

Turns = Sequence[Turn]


@dataclass(frozen=True, slots=True)
class Timed:
    """Replies, the seconds that all of them took, and the seconds that each took."""

    said: list[Said]
    seconds: float
    each: list[float]

    def a_minute(self, longest: int) -> float:
        """Return replies a minute, a reply being `longest` tokens: who says less has answered less."""
        return 60 * sum(one.tokens for one in self.said) / longest / self.seconds

    @property
    def tokens(self) -> float:
        """Return the tokens of a reply, on average."""
        return sum(one.tokens for one in self.said) / len(self.said)


async def at_once(party: Party, asked: Sequence[Turns], longest: int) -> Timed:
    """Ask everything at the same time."""
    began = time.perf_counter()
    answered = await asyncio.gather(*(_reply(party, turns, longest) for turns in asked))
    return Timed([said for said, _ in answered], time.perf_counter() - began, [taken for _, taken in answered])


async def one_by_one(party: Party, asked: Sequence[Turns], longest: int) -> Timed:
    """Ask one thing after the other."""
    began = time.perf_counter()
    answered = [await _reply(party, turns, longest) for turns in asked]
    return Timed([said for said, _ in answered], time.perf_counter() - began, [taken for _, taken in answered])


async def warmed(party: Party, talks: Sequence[Talk], longest: int) -> list[Turns]:
    """Let the party give the reply before the new message; return what it is asked next.

    The reply of `longest` tokens becomes part of the conversation, as it does in a chat.
    """
    before = await at_once(party, [talk.before() for talk in talks], longest)
    lines = [talk.exchanges[-1][1] for talk in talks]
    return [talk.with_reply(said.text or line) for talk, said, line in zip(talks, before.said, lines, strict=True)]


async def _reply(party: Party, turns: Turns, longest: int) -> tuple[Said, float]:
    began = time.perf_counter()
    said = await party.reply(turns, longest)
    return said, time.perf_counter() - began
