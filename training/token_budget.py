"""The tokens of one pass over a corpus, as training itself would cut and batch them."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig

from bot.engine.bases import EMBEDDED, BaseError, find_base
from bot.engine.checkpoints import CheckpointError, load_screenplay
from persona.dialogue import Turn
from persona.screenplay import FormatError
from training.corpus import Corpus
from training.inspection import InspectionError, Question
from training.mixture import Part
from training.report.runlog import read_run
from training.samples import Sampler
from training.split import Split
from training.stream import Diet
from training.tokenized import cached_screenplay, tokenizer_checksum
from training.windows import window_of

# An adapter on the embedded base, bf16, two CPU cores: an order of magnitude for want of a measured rate.
EMBEDDED_RATE = 400.0


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """What one pass costs. `minutes` is an estimate from `rate` (tokens a second), None where there is no rate.

    `read` tokens are in the windows of a pass, earlier lines as context included; the loss is taken
    on `learned` of them.
    """

    base: str
    window: int
    read: int
    learned: int
    step: int
    steps: int
    rate: float | None
    rate_from: str
    minutes: float | None


class Tokenizing:
    """A corpus through a base's tokenizer; raises InspectionError where there is no such base."""

    def __init__(self, question: Question, corpus: Corpus) -> None:
        self._question, self._corpus = question, corpus
        try:
            base = find_base(question.base, question.cache)
            screenplay = load_screenplay(base.folder)
        except (BaseError, CheckpointError, FormatError) as error:
            raise InspectionError(f"{error}; --base none looks at the corpus alone") from error
        self._window = window_of(
            AutoConfig.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
        )
        self._turns = cached_screenplay(screenplay, corpus, question.cache, tokenizer_checksum(base.folder))

    def is_too_long(self, turn: Turn) -> bool:
        """Say whether a turn fits into no window, so that training leaves it out."""
        return len(self._turns.turn(turn, learned=False).ids) > self._window

    def budget(self, split: Split, taught: Collection[str] | None) -> TokenBudget:
        """Plan the first pass of a training with seed 0 and count; raises CorpusError where nothing is taught."""
        question = self._question
        part = Part(self._corpus, split, Sampler(self._turns, taught, window=self._window))
        plan = Diet([part], question.tokens, seed=0).plan(0, 0)
        windows = [window for batch in plan for window in batch]
        read = sum(map(len, windows))
        rate, source = _rate(question)
        return TokenBudget(
            base=question.base,
            window=self._window,
            read=read,
            learned=sum(sum(window.learned) for window in windows),
            step=question.tokens,
            steps=len(plan),
            rate=rate,
            rate_from=source,
            minutes=read / rate / 60 if rate else None,
        )


def _rate(question: Question) -> tuple[float | None, str]:
    """Return tokens a second and where they come from; raises InspectionError for one that is none."""
    given = question.rate
    if given is None:
        usual = question.base == EMBEDDED
        return (EMBEDDED_RATE, "usual on two CPU cores") if usual else (None, "unknown for this base")
    if Path(given).is_dir():
        measured = read_run(Path(given)).latest("tokens_per_second")
        if not measured:
            raise InspectionError(f"the run in {given} has not measured its tokens a second yet")
        return measured, f"measured in {given}"
    try:
        rate = float(given)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise InspectionError(f"--rate must be tokens a second above 0 or a run's folder, not {given!r}")
    return rate, "as given"
