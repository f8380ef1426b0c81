"""`echochamber sweep`: short trainings of different recipes, until one can be recommended."""

import gc
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from bot.engine.bases import BaseError, find_base
from persona.characters import PersonaError
from training.cast import choose_personas
from training.corpus import CorpusError
from training.materials import load_corpora
from training.options import Options, OptionsError
from training.sweep.search import Search
from training.sweep.standings import Standings
from training.sweep.study import Claim, Study, StudyError
from training.sweep.watch import Watch, reason_of_end
from training.train import TrainingError, train

Tell = Callable[[str], None]
Learn = Callable[[Options, Tell, Callable[[dict[str, Any]], None], Callable[[], bool]], Path]

MOST_FAILURES = 3
KEPT_FILES = ("run.json", "metrics.jsonl")
_FACTS = ("bits_per_byte", "persona_gain", "repetition", "tokens", "step", "minutes")
_SECONDS_BETWEEN_LOOKS = 1.0


class SweepError(RuntimeError):
    """A sweep that cannot be done as asked, in one sentence."""


def train_and_clear(
    options: Options, tell: Tell, show: Callable[[dict[str, Any]], None], stop: Callable[[], bool]
) -> Path:
    """Train, and let the model go before the next one is loaded: its parts refer to each other."""
    try:
        return train(options, tell, show, stop)
    finally:
        gc.collect()


def sweep(search: Search, tell: Tell, learn: Learn = train_and_clear) -> Standings:
    """Run trials until `search.trials` are done by this and other processes on the same folder.

    A sweep that the folder holds goes on. `tell` gets sentences for people, `learn` trains. Returns how
    the trials stand, which is written into `sweep.md`, too. Raises SweepError.
    """
    try:
        with closing(Study(search.out, search.space(), search.first(), _asked(search, tell))) as study:
            _Sweeper(search, study, tell, learn).go()
            standings = Standings(search, study.outcomes())
        standings.write(search.out / "sweep.md")
    except (BaseError, CorpusError, OptionsError, PersonaError, StudyError) as error:
        raise SweepError(str(error)) from error
    except OSError as error:
        raise SweepError(f"the sweep stopped: {error.strerror or type(error).__name__} ({search.out})") from error
    if standings.done < search.trials:
        tell(f"Stopped with {standings.done} of {search.trials} trials done; the same command goes on.")
    return standings


def _asked(search: Search, tell: Tell) -> dict[str, Any]:
    """Return what every start must ask for alike; what cannot be had is refused here, before any trial."""
    options = search.options(search.first(), search.out)
    options.check()
    corpora = load_corpora(options)
    choose_personas(search.persona, corpora[0])
    base = find_base(search.base, search.cache, tell)
    return {
        "corpora": " + ".join(
            f"{given} ({one.sha256[:12]})" for given, one in zip(search.corpora, corpora, strict=True)
        ),
        "base": f"{search.base} ({base.card.sha256[:12]})",
        "persona": search.persona,
        "minutes per trial": search.minutes,
        "seed": search.seed,
        "search space": {name: str(values) for name, values in search.space().items()},
    }


class _Sweeper:
    """One process's part in a sweep."""

    def __init__(self, search: Search, study: Study, tell: Tell, learn: Learn) -> None:
        self.search, self.study, self.tell, self.learn = search, study, tell, learn
        self.stopped = False
        self._failures = 0

    def go(self) -> None:
        """Run trials, and wait for those of other processes, which are put back where one dies."""
        waiting = False
        with self._stopped_by_signals():
            if self.study.done() < self.search.trials:
                self._warm_up()
            while not self.stopped:
                claim = self.study.claim(self.search.trials)
                if claim:
                    with claim.lock:
                        self._try(claim)
                elif self.study.done() >= self.search.trials:
                    return
                else:
                    if not waiting:
                        self.tell("Waiting for the last trials of other processes.")
                    waiting = True
                    time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _warm_up(self) -> None:
        """Train a single step: it fills the caches, which would cost the first trial some of its minutes.

        What cannot be trained at all is found out here, too.
        """
        self.tell("Warming up: one step that no trial counts.")
        with TemporaryDirectory(prefix="warm-up-", dir=self.study.run_folder(0).parent) as place:
            options = self.search.options(self.search.first(), Path(place) / "run")
            try:
                self.learn(options, _ignore, _ignore, lambda: True)
            except TrainingError as error:
                raise SweepError(str(error)) from error
            self.stopped = self.stopped or reason_of_end(options.out) == "interrupted"

    def _try(self, claim: Claim) -> None:
        folder = self.study.run_folder(claim.number)
        options = self.search.options(claim.recipe, folder)
        watch = Watch(self.study, claim, lambda: self.stopped)
        recipe = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in claim.recipe.items())
        self.tell(f"Trial {claim.number} ({self.study.done()} of {self.search.trials} done): {recipe}.")
        try:
            self.learn(options, _ignore, watch.show, watch.stop)
        except TrainingError as error:
            watch.trouble = "its loss became NaN" if reason_of_end(folder) == "NaN" else str(error)
        _shrink(folder)
        self._record(claim, watch)

    def _record(self, claim: Claim, watch: Watch) -> None:
        if watch.was_interrupted(self.study.run_folder(claim.number)):
            self.stopped = True
            self.study.put_back(claim)
        elif watch.trouble or not watch.best:
            self._fail(claim, watch.trouble or "no validation fitted into its minutes")
        else:
            self._failures = 0
            facts = {key: watch.best[key] for key in _FACTS if key in watch.best}
            score = watch.best["score"]
            if watch.was_cut:
                self.study.prune(claim, score, facts)
            else:
                self.study.complete(claim, score, facts)
            ended = "was cut short" if watch.was_cut else "ended"
            self.tell(f"Trial {claim.number} {ended} with a best score of {score:.4f}.")

    def _fail(self, claim: Claim, why: str) -> None:
        self.study.fail(claim, why)
        self.tell(f"Trial {claim.number} failed: {why}.")
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            raise SweepError(f"{MOST_FAILURES} trials failed one after the other, the last one because {why}")

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the trial after its next step; a training has handlers of its own meanwhile."""

        def stop(number: int, frame: FrameType | None) -> None:
            self.stopped = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _ignore(said: object) -> None:
    """Hear what a training says of itself: here it is one of many."""


def _shrink(folder: Path) -> None:
    """Remove all that a trial leaves but what was asked for and its metrics."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in KEPT_FILES:
            path.unlink()
