"""`echochamber corpus inspect`: what is in a corpus, what training leaves out of it and why, and what a pass costs.

No text of the corpus is in what comes out, only names, ids and numbers.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any

from persona.characters import friends
from persona.dialogue import Turn
from training.conversations import Conversation
from training.corpus import Corpus, CorpusError, find_corpus, load_corpus, read_conversations
from training.drops import Drop, cleaning, teaching
from training.split import Split, split_scenes

if TYPE_CHECKING:
    from training.token_budget import TokenBudget

NO_BASE = "none"


class InspectionError(RuntimeError):
    """A corpus, base or persona that cannot be looked at, in one sentence."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be looked at. `base` "none" counts no tokens; `rate` is tokens a second, or a run's folder."""

    corpus: str
    cache: Path
    persona: str | None = None
    base: str = "embedded"
    leave_out: tuple[str, ...] = ()
    tokens: int = 1024
    rate: str | None = None


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who speaks, with lines and words after cleaning."""

    name: str
    lines: int
    words: int
    taught: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """How something is distributed: the middle one, the one that nine in ten do not exceed, the largest."""

    median: int
    p90: int
    most: int

    @classmethod
    def of(cls, values: Iterable[int]) -> "Spread":
        """Measure at least one value."""
        ordered = sorted(values)
        return cls(median_low(ordered), ordered[(9 * len(ordered) - 1) // 10], ordered[-1])


@dataclass
class Inspection:
    """What a corpus holds, and the way of its lines from the files to what is learned.

    `found` lines stand in the files; those left by `cleaning` are in the corpus's scenes, those left
    by `teaching` are learned in a pass, but for names that it masks. `seasons` counts each season's
    episodes, `held_out` those of each side. `trouble` says why a corpus cannot be trained on as it is.
    """

    corpus: str
    unit: str
    conversations: int
    scenes: int
    units: int
    found: int
    lines: int
    speakers: list[Speaker]
    turns_a_scene: Spread
    words_a_line: Spread
    cleaning: list[Drop]
    teaching: list[Drop] = field(default_factory=list)
    taught: int = 0
    seasons: dict[str, int] = field(default_factory=dict)
    held_out: dict[str, int] = field(default_factory=dict)
    budget: "TokenBudget | None" = None
    trouble: str | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain fields."""
        return asdict(self)


def inspect(question: Question) -> Inspection:
    """Look into a corpus; raises InspectionError."""
    try:
        folder = find_corpus(question.corpus, question.cache)
        conversations = read_conversations(folder, question.cache)
        corpus = load_corpus(question.corpus, question.cache)
        taught = _taught(question.persona, corpus)
    except CorpusError as error:
        raise InspectionError(str(error)) from error
    inspection = _described(corpus, conversations, taught)
    try:
        split = split_scenes(corpus, question.leave_out)
        _follow(inspection, split, taught, question, corpus)
    except CorpusError as error:
        inspection.trouble = str(error)
    return inspection


def _taught(persona: str | None, corpus: Corpus) -> Collection[str] | None:
    """Return the names of who is taught: the friends where there are any, else everybody, which None stands for."""
    if persona is None:
        return {one.name for one in friends()} & corpus.speakers() or None
    from persona.characters import PersonaError  # noqa: PLC0415
    from training.cast import choose_personas  # noqa: PLC0415 - torch loads here, and only here

    try:
        return {one.name for one in choose_personas(persona, corpus)}
    except PersonaError as error:
        raise CorpusError(str(error)) from error


def _described(corpus: Corpus, conversations: Sequence[Conversation], taught: Collection[str] | None) -> Inspection:
    lines, words = Counter[str](), Counter[str]()
    turns = [turn for scene in corpus.scenes for turn in scene.turns]
    episodes = {scene.episode for scene in corpus.scenes}
    for turn in turns:
        lines[turn.name] += 1
        words[turn.name] += len(turn.text.split())
    return Inspection(
        corpus=corpus.name,
        unit=corpus.unit,
        conversations=len(conversations),
        scenes=len(corpus.scenes),
        units=len(episodes),
        found=sum(len(conversation.utterances) for conversation in conversations),
        lines=len(turns),
        speakers=[
            Speaker(name, number, words[name], taught is None or name in taught) for name, number in lines.most_common()
        ],
        turns_a_scene=Spread.of(len(scene.turns) for scene in corpus.scenes),
        words_a_line=Spread.of(len(turn.text.split()) for turn in turns),
        cleaning=cleaning(conversations),
        seasons=dict(Counter(corpus.seasons.get(episode, "") for episode in sorted(episodes))),
    )


def _follow(
    inspection: Inspection, split: Split, taught: Collection[str] | None, question: Question, corpus: Corpus
) -> None:
    """Follow the lines of the scenes to what is learned of them in a pass."""
    inspection.held_out = {
        side: len({scene.episode for scene in scenes})
        for side, scenes in (("validation", split.validation), ("test", split.test), ("left out", split.left_out))
    }
    is_too_long: Callable[[Turn], bool] = lambda turn: False  # noqa: E731
    if question.base != NO_BASE:
        from training.token_budget import Tokenizing  # noqa: PLC0415 - torch loads here

        tokenizing = Tokenizing(question, corpus)
        is_too_long = tokenizing.is_too_long
        inspection.budget = tokenizing.budget(split, taught)
    inspection.teaching = teaching(split, taught, is_too_long)
    inspection.taught = inspection.lines - sum(drop.lines for drop in inspection.teaching)
