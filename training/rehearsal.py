"""A rehearsal: sixteen strangers' messages, answered in one batch before a checkpoint may be the best.

Teacher-forced measures cannot see that a model says the same to everybody or runs in circles.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig

from persona.characters import Persona
from persona.dialogue import Turn
from persona.guard import loops
from persona.screenplay import Screenplay
from training.measures import LearnedLoss

STRANGER, LONGEST, _SEED = "Sam", 32, 20_261_124
MESSAGES = (
    "Hi! Nice to meet you.",
    "What did you have for breakfast?",
    "I had a terrible day at work.",
    "Do you want to go out tonight?",
    "Tell me something about yourself.",
    "My cat ran away and I don't know what to do.",
    "Who is your best friend?",
    "I think I'm in love.",
    "What's your favourite movie?",
    "Are you a robot?",
    "Can you help me move a couch on Saturday?",
    "You are not funny at all.",
    "I just got a new job!",
    "Why is the sky blue?",
    "I don't believe you.",
    "Good night, talk to you tomorrow.",
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a character answered to a stranger's message."""

    character: str
    message: str
    text: str


class Rehearsal:
    """The messages, dealt to the characters in turn and answered by sampling with a fixed seed."""

    def __init__(self, screenplay: Screenplay, personas: Sequence[Persona], room: int) -> None:
        self._screenplay, self._personas = screenplay, tuple(personas)
        self._asked = [(personas[at % len(personas)], message) for at, message in enumerate(MESSAGES)]
        self._prompts = [
            screenplay.prompt([Turn(STRANGER, message)], persona.name, room - LONGEST)
            for persona, message in self._asked
        ]

    def checksum(self) -> str:
        """Return the SHA-256 of all that is asked."""
        return hashlib.sha256(json.dumps(self._prompts).encode()).hexdigest()

    @torch.no_grad()
    def answer(self, model: LearnedLoss, device: torch.device, autocast: torch.dtype | None) -> list[Reply]:
        """Return the replies; the model's mode and the random state of the training are given back."""
        end, was_training = self._screenplay.end_id, model.training
        longest = max(map(len, self._prompts))
        ids = torch.tensor([[end] * (longest - len(one)) + one for one in self._prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in self._prompts], device=device)
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=True, temperature=0.8, top_p=0.9, top_k=0, max_new_tokens=LONGEST,
            eos_token_id=end, pad_token_id=end, use_cache=True,
        )  # fmt: skip
        model.eval()
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            torch.autocast(device.type, dtype=autocast or torch.float32, enabled=autocast is not None),
        ):
            torch.manual_seed(_SEED)
            drawn = model.model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        model.train(was_training)
        return [
            Reply(persona.name, message, self._text(row))
            for (persona, message), row in zip(self._asked, drawn[:, longest:].tolist(), strict=True)
        ]

    def repetition(self, replies: Sequence[Reply]) -> float:
        """Return the share of replies that run in circles, or say what an earlier one said."""
        seen: set[tuple[str, ...]] = set()
        repeated = 0
        for reply in replies:
            words = tuple(reply.text.casefold().split())
            repeated += loops(reply.text) or words in seen
            seen.add(words)
        return repeated / len(replies)

    def _text(self, drawn: list[int]) -> str:
        end = self._screenplay.end_id
        return self._screenplay.tokenizer.decode(drawn[: drawn.index(end)] if end in drawn else drawn).strip()
