"""Who answers: our engine, and `model.generate` one message at a time, behind one small protocol."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import GenerationConfig

from bot.engine.checkpoints import LoadedCheckpoint
from bot.engine.local import LocalEngine
from bot.engine.protocol import GenerateRequest, Sampling
from persona.characters import Persona
from persona.dialogue import Scene, Turn


@dataclass(frozen=True, slots=True)
class Said:
    """A reply: its first line, and how many tokens were decoded in all."""

    text: str
    tokens: int


class Party(Protocol):
    """Whoever answers in a conversation."""

    name: str

    async def reply(self, turns: Sequence[Turn], longest: int) -> Said:
        """Answer the last of `turns` with `longest` tokens."""
        ...


class Ours:
    """Our engine, one candidate a reply; without a seed, with which it would compute every prompt anew."""

    name = "ours"

    def __init__(self, engine: LocalEngine, persona: Persona, sampling: Sampling) -> None:
        self.engine = engine
        self.persona = persona
        self.sampling = sampling

    async def reply(self, turns: Sequence[Turn], longest: int) -> Said:
        """Answer through the engine's queue."""
        asked = GenerateRequest(Scene(tuple(turns)), self.persona, 1, self.sampling, longest)
        [candidate] = await self.engine.generate(asked)
        return Said(first_line(candidate.text), candidate.tokens)


class Generate:
    """transformers' `generate`, one message at a time: the whole prompt is computed for each.

    `room` bounds the prompt in tokens, as the engine's context does there.
    """

    name = "generate"

    def __init__(self, checkpoint: LoadedCheckpoint, persona: Persona, sampling: Sampling, room: int) -> None:
        self.model = checkpoint.model
        self._screenplay = checkpoint.screenplay
        self._persona = persona
        self._sampling = sampling
        self.room = room
        self._one = asyncio.Lock()
        # What a base's own file wishes for (a penalty, a top-k) would be work that nobody else does.
        self.model.generation_config = GenerationConfig()

    async def reply(self, turns: Sequence[Turn], longest: int) -> Said:
        """Answer in a thread, when those before are done."""
        async with self._one:
            return await asyncio.to_thread(self._generate, turns, longest)

    def _generate(self, turns: Sequence[Turn], longest: int) -> Said:
        prompt = self._screenplay.prompt(turns, self._persona.name, self.room)
        ids = torch.tensor([prompt], device=self.model.device)
        with torch.inference_mode():
            output = self.model.generate(
                ids, attention_mask=torch.ones_like(ids), generation_config=self._config(longest)
            )
        drawn = output[0, len(prompt) :].tolist()
        return Said(first_line(self._screenplay.tokenizer.decode(drawn)), len(drawn))

    def _config(self, longest: int) -> GenerationConfig:
        drawn = {"do_sample": False}
        if self._sampling.temperature > 0:
            asked = self._sampling
            drawn = {"do_sample": True, "temperature": asked.temperature, "top_p": asked.top_p, "top_k": 0}
        # Without an end-of-sequence token it never stops early.
        return GenerationConfig(**drawn, max_new_tokens=longest, pad_token_id=self._screenplay.end_id)


def first_line(text: str) -> str:
    """Return what was said before the first line break: behind its end of turn a reply begins another."""
    return re.split(r"[\r\n]", text.strip(), maxsplit=1)[0].strip()
