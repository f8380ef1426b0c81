"""What is said next: sampling and the guard joined, so that what is measured is what is served."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.engine.protocol import Candidate, GenerateRequest, ReplyEngine, Sampling
from persona.characters import Persona
from persona.dialogue import Scene
from persona.guard import refusal

_SEED_STRIDE = 1 << 32  # the seeds of further attempts never meet those of the replies to come
_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]]*(?=\s|$)""")


class Chooser:
    """Asks the engine until the guard lets a reply pass; `attempts` at most.

    `longest` bounds a reply in tokens; `offensive` says which texts must never leave the house.
    """

    def __init__(  # noqa: PLR0913 - what is chosen among, and four keyword-only settings with a default each
        self,
        engine: ReplyEngine,
        personas: Sequence[Persona],
        *,
        sampling: Sampling | None = None,
        longest: int = 60,
        attempts: int = 2,
        offensive: Callable[[str], bool] | None = None,
    ) -> None:
        self._engine = engine
        self._personas = tuple(personas)
        self._sampling = sampling or Sampling()
        self._longest = longest
        self._attempts = attempts
        self._offensive = offensive

    async def choose(
        self, conversation: Scene, persona: Persona, *, seed: int | None = None, deadline: float | None = None
    ) -> Candidate | None:
        """Return what to say next, on one line; None where nothing that came may be said.

        A reply that was cut off ends with its last whole sentence, if it has one. `deadline` is a
        moment of `time.monotonic()`. Raises Busy or EngineError.
        """
        others = [one for one in self._personas if one.id != persona.id]
        request = GenerateRequest(conversation, persona, 1, self._sampling, self._longest, seed, deadline)
        for attempt in range(self._attempts):
            again = None if seed is None else seed + attempt * _SEED_STRIDE
            for candidate in await self._engine.generate(replace(request, seed=again)):
                texts = candidate.text, _whole(candidate)  # a cut may leave what the guard refuses
                if not any(refusal(text, conversation, persona, others, self._offensive) for text in texts):
                    return replace(candidate, text=texts[1])
            if deadline is not None and time.monotonic() >= deadline:
                break
        return None

    async def aclose(self) -> None:
        """Close the engine."""
        await self._engine.aclose()


def _whole(candidate: Candidate) -> str:
    text = " ".join(candidate.text.split())
    sentences = list(_SENTENCE_END.finditer(text)) if candidate.finish_reason != "stop" else []
    return text[: sentences[-1].end()] if sentences else text
