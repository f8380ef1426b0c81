"""Eight candidates, guarded and ranked, beside one candidate unranked, in warm conversations one at a time.

All candidates are drawn to their full length, and then every one of them says a prepared line of about
as many tokens which the guard lets pass: ranking is asked to compare as many replies as it ever could.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bench.serve.sides import Bench
from bench.serve.table import Row, spread
from bench.serve.workload import Turns, warmed
from bot.engine.chooser import Chooser, ChooserOptions, Consideration
from bot.engine.protocol import Abilities, Candidate, GenerateRequest, ReplyEngine, ScoreRequest
from persona.characters import Persona
from persona.dialogue import Scene
from persona.ranking import Weights

GOAL, SECONDS = 4.0, 3.0
LINES = (
    "Look, I don't know much about that, but my uncle told me that you should never trust a man without a belly.",
    "You know what helps me every time? A long hot shower, a ball game on the radio, and no thinking at all.",
    "Okay, here is the plan: you bring the chairs, I bring the drinks, and we both pretend that nothing happened here.",
    "Wow, that reminds me of the summer when I sold shoes, and the only person who bought any was my own mother.",
    "If you ask me, and you kind of did, the trick is to walk in like you own the place and wink at the lady.",
    "I would love to say that it gets better, but the truth is that it gets louder and then somebody falls asleep.",
    "Hey, don't be so hard on yourself, because half of the people I know would have run away and hidden in a closet.",
    "That is exactly what my agent said before she hung up, and look at me now, still waiting here for the phone.",
)


async def measure(bench: Bench) -> list[Row]:
    """Let both ways take turns in conversations of the same kind; return the row."""
    sizes = bench.sizes
    loaded = await bench.ours.engine.checkpoint()
    weights = Weights.from_mapping(loaded.card.ranking) if loaded.card else Weights()
    options = ChooserOptions(sizes.sampling, sizes.reply, sizes.candidates, weights=weights)
    chooser = Chooser(_Prepared(bench.ours.engine), loaded.personas, options)
    one, many, parts = [], [], []
    rank = partial(_ranked, chooser, persona=bench.ours.voice.persona, weights=weights)
    await rank(bench.talks(1)[0].turns())  # what is said once, and first calls
    for number in range(bench.asked.rounds):
        bench.asked.tell(f"Ranking, round {number + 1} of {bench.asked.rounds}.")
        asked = await warmed(bench.ours, bench.talks(2 * sizes.ranked), sizes.reply_before)
        for single, several in zip(asked[::2], asked[1::2], strict=True):
            began = time.perf_counter()
            await bench.ours.reply(single, sizes.reply)
            one.append(time.perf_counter() - began)
            began = time.perf_counter()
            parts.append(await rank(several))
            many.append(time.perf_counter() - began)
    return [_row(sizes.candidates, one, many, parts)]


class _Prepared:
    """The engine, whose candidates say what was prepared."""

    def __init__(self, engine: ReplyEngine) -> None:
        self._engine = engine

    async def ready(self) -> Abilities:
        return await self._engine.ready()

    async def generate(self, request: GenerateRequest) -> list[Candidate]:
        drawn = await self._engine.generate(request)
        return [replace(one, text=LINES[number % len(LINES)], finish_reason="stop") for number, one in enumerate(drawn)]

    async def score(self, request: ScoreRequest) -> list[float]:
        return await self._engine.score(request)

    async def aclose(self) -> None:
        await self._engine.aclose()


async def _ranked(chooser: Chooser, turns: Turns, persona: Persona, weights: Weights) -> Consideration:
    """Choose, and end the program where not everything was drawn, let pass and asked."""
    found = await chooser.consider(Scene(tuple(turns)), persona)
    refused = [one.refusal for one in found.candidates if one.refusal]
    if refused:
        raise SystemExit(f"the guard refused a prepared line ({refused[0]})")
    best = next(one.parts for one in found.candidates if found.chosen and one.candidate.text == found.chosen.text)
    if unknown := [name for name, weight in weights.by_part().items() if weight and getattr(best, name, None) is None]:
        raise SystemExit(f"the replies were ranked without {unknown[0]}: the engine could not score them")
    return found


def _row(candidates: int, one: Sequence[float], many: Sequence[float], parts: Sequence[Consideration]) -> Row:
    single, several = spread(one), spread(many)
    ratio = several["median"] / single["median"]
    steps = {step: spread([one.seconds.get(step, 0.0) for one in parts]) for step in parts[0].seconds}
    told = ", ".join(f"{step} {1000 * of['median']:.0f} ms" for step, of in steps.items())
    return Row(
        f"seconds to the best of {candidates} candidates, ranked ({told})",
        f"{several['median']:.2f} s",
        f"{single['median']:.2f} s (one, unranked)",
        f"{ratio:.1f}",
        f"at most {GOAL:g} and {SECONDS:g} s",
        ratio <= GOAL and several["median"] <= SECONDS,
        {"ranked": several, "single": single, "ratio": ratio, "steps": steps},
    )
