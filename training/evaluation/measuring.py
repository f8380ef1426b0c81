"""All measures of one evaluation, from its pieces and the corpus."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from persona.characters import Persona
from persona.dialogue import Scene
from training.evaluation.answering import answering, load_embedder
from training.evaluation.figures import Measure
from training.evaluation.judge import Judge, JudgeError, train_judge
from training.evaluation.knowing import bits_against, knowing
from training.evaluation.living import living, own
from training.evaluation.pieces import Generated, ScoredLine
from training.evaluation.plan import Ask, Plan
from training.evaluation.safety import safety
from training.evaluation.sounding import sounding

STRANGER = "talking to a stranger"


@dataclass(frozen=True, slots=True)
class Material:
    """The pieces of a plan, the base's lines, the scenes `learned` from, who was `asked`, and all characters."""

    plan: Plan
    lines: Mapping[int, ScoredLine]
    base: Mapping[int, ScoredLine]
    replies: Mapping[tuple[str, int], Generated]
    learned: Sequence[Scene]
    asked: Sequence[Persona]
    cast: Sequence[Persona]

    def pairs(self, kind: str) -> list[tuple[Ask, Generated]]:
        """Return what was asked and answered of one kind."""
        asks = (one for one in self.plan.asks if one.kind == kind)
        return [(one, found) for one in asks if (found := self.replies.get((one.kind, one.number)))]


def measure(material: Material, tell: Callable[[str], None]) -> tuple[Measure, ...]:
    """Return all measures; `tell` hears what cannot be measured."""
    return tuple(_measures(material, tell))


def _measures(material: Material, tell: Callable[[str], None]) -> Iterator[Measure]:
    bits, *others = knowing(material.plan.lines, material.lines)
    against = bits_against(material.plan.lines, material.lines, material.base)
    yield Measure(bits.name, (*bits.figures, against))
    yield from others
    scenes, strangers = material.pairs("scene"), material.pairs("stranger")
    yield sounding(material.plan.asks, material.replies, _judge(material, tell))
    embed = load_embedder()
    yield answering(scenes, embed)
    yield living(scenes)
    yield own(scenes, material.learned)
    yield safety([*scenes, *strangers], material.cast)
    to_strangers = (*answering(strangers, embed).figures, *living(strangers).figures)
    # What people would have said to a stranger nobody knows.
    yield Measure(STRANGER, tuple(replace(one, people=None) for one in to_strangers))


def _judge(material: Material, tell: Callable[[str], None]) -> Judge | None:
    names = [one.name for one in material.asked]
    if len(names) < 2:
        return None
    try:
        return train_judge(material.learned, names)
    except JudgeError as error:
        tell(f"There is no judge of who speaks: {error}.")
        return None
