"""A search's trials in SQLite, shared by all processes on one folder. The only file that knows Optuna.

A running trial belongs to whoever holds its file lock, and the kernel drops the lock with the process: a
trial whose process died is noticed at once. Optuna's heartbeats need minutes to notice, write into the
database all the while, and take a laptop's sleep for a death.
"""

import json
import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from training.locks import alone, taken

optuna.logging.set_verbosity(optuna.logging.ERROR)  # what people need to know we say in sentences

MOST_DEATHS = 3
_ASKED, _WHY, _SCORE, _REPEATS, _DEATHS = "asked", "why", "score", "repeats", "deaths"
_SECONDS_FOR_OTHERS = 60.0
_RANDOM_TRIALS = 5
# The worst third of the curves is cut, not the worse half: until the learning rate decays, a high one
# looks worse than it ends. The first validation of a run is in or near its warm-up.
_KEPT_PERCENT, _FIRST_CUT, _COMPARED_WITH = 67.0, 2, 3


class StudyError(RuntimeError):
    """A study that cannot be opened, shared or gone on with, in one sentence."""


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, even on a logarithmic scale where `log` is set."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Range | tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that this process runs, for as long as `lock` is open."""

    trial: optuna.Trial
    lock: IO[bytes]

    @property
    def number(self) -> int:
        """Return the trial's number in the study."""
        return self.trial.number

    @property
    def recipe(self) -> dict[str, float]:
        """Return the value of each thing that is searched."""
        return self.trial.params


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial as it stands: `state` is complete, pruned, failed, stopped, running or waiting.

    `score` is that of its best validation, None without one; `facts` are what else was noted at its end.
    """

    number: int
    state: str
    recipe: dict[str, float]
    score: float | None
    facts: dict[str, Any] = field(default_factory=dict)


class Study:
    """The trials in a folder; raises StudyError. To be closed."""

    def __init__(self, folder: Path, space: Space, first: Mapping[str, float], asked: Mapping[str, Any]) -> None:
        """Open the study, which must have been begun with the same `asked`, or begin it with the recipe `first`."""
        self._folder, self._space, self._seed = folder, _distributions(space), asked.get("seed", 0)
        self._file = folder / "study.db"
        _make(folder, self._file)
        with self._alone():
            self._study, self._storage = self._opened()
            if _ASKED not in self._study.user_attrs:
                self._study.set_user_attr(_ASKED, dict(asked))
                self._study.enqueue_trial(dict(first))
            known = self._study.user_attrs[_ASKED]
        wanted = json.loads(json.dumps(dict(asked)))
        changed = [key for key in wanted if known.get(key) != wanted[key]]
        if changed:
            self.close()
            raise StudyError(
                f"the sweep in {folder} was started with {changed[0]} = {known.get(changed[0])}, "
                f"not {wanted[changed[0]]}; go on with the same, or give another --out"
            )

    def close(self) -> None:
        """Close the database."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def claim(self, trials: int) -> Claim | None:
        """Return a trial to run, or None where `trials` are done or running."""
        with self._alone():
            self._put_back_the_dead()
            if self._count(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING) >= trials:
                return None
            self._study.sampler = self._sampler(self._count())
            trial = self._study.ask(self._space)
            lock = taken(self._lock_file(trial.number))
            if lock is None:
                raise StudyError(f"{self._lock_file(trial.number)} is locked by something that is no sweep")
            return Claim(trial, lock)

    def report(self, claim: Claim, place: int, value: float) -> bool:
        """Add a point to a trial's curve; say whether the trial should be cut short.

        `place` is 1 for the first validation and so on. Trials are bounded by minutes, so no two of
        them validate at the same steps, and curves are compared place by place.
        """
        with self._alone():
            claim.trial.report(value, place)
            return claim.trial.should_prune()

    def complete(self, claim: Claim, score: float, facts: Mapping[str, Any]) -> None:
        """Record a trial that came to its end."""
        self._end(claim, TrialState.COMPLETE, {_SCORE: score, **facts}, score)

    def prune(self, claim: Claim, score: float, facts: Mapping[str, Any]) -> None:
        """Record a trial that was cut short."""
        self._end(claim, TrialState.PRUNED, {_SCORE: score, **facts})

    def fail(self, claim: Claim, why: str) -> None:
        """Record a trial that could not be trained; another takes its place."""
        self._end(claim, TrialState.FAIL, {_WHY: why})

    def put_back(self, claim: Claim) -> None:
        """Record a trial that was interrupted; its recipe is the next to be tried."""
        with self._alone():
            self._repeat(claim.trial, claim.trial.user_attrs.get(_DEATHS, 0))
            self._release(claim)

    def done(self) -> int:
        """Return how many trials came to their end or were cut short."""
        with self._alone():
            return self._count(TrialState.COMPLETE, TrialState.PRUNED)

    def outcomes(self) -> list[Outcome]:
        """Return all trials, the lowest score first and those without one last."""
        with self._alone():
            trials = self._study.get_trials(deepcopy=False)
        repeated = {one.user_attrs.get(_REPEATS) for one in trials}
        found = [_outcome(one, repeated=one.number in repeated) for one in trials]
        return sorted(found, key=lambda one: (one.score is None, one.score or 0.0, one.number))

    def run_folder(self, number: int) -> Path:
        """Return the folder of a trial's run."""
        return self._folder / "trials" / f"{number:04d}"

    def _lock_file(self, number: int) -> Path:
        return self._folder / "trials" / f"{number:04d}.lock"

    def _end(self, claim: Claim, state: TrialState, facts: Mapping[str, Any], score: float | None = None) -> None:
        with self._alone():
            for key, value in facts.items():
                claim.trial.set_user_attr(key, value)
            self._study.tell(claim.trial, score, state)
            self._release(claim)

    def _release(self, claim: Claim) -> None:
        self._lock_file(claim.number).unlink(missing_ok=True)
        claim.lock.close()

    def _repeat(self, trial: optuna.Trial | FrozenTrial, deaths: int) -> None:
        self._study.tell(trial.number, state=TrialState.FAIL)
        if deaths < MOST_DEATHS:
            self._study.enqueue_trial(trial.params, {_REPEATS: trial.number, _DEATHS: deaths})

    def _put_back_the_dead(self) -> None:
        for one in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            lock = taken(self._lock_file(one.number))
            if lock is not None:
                with lock:
                    self._repeat(one, one.user_attrs.get(_DEATHS, 0) + 1)
                    shutil.rmtree(self.run_folder(one.number), ignore_errors=True)
                    self._lock_file(one.number).unlink(missing_ok=True)

    def _count(self, *states: TrialState) -> int:
        return len(self._study.get_trials(deepcopy=False, states=states or None))

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Return what draws trial `number`: from the seed, the number and what is known of the others.

        So a resumed sweep, or a second process, does not draw again what the first one drew.
        """
        seed = random.Random(f"{self._seed} {number}").getrandbits(32)  # noqa: S311 - sampling, not secrets
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM_TRIALS)

    def _opened(self) -> tuple[optuna.Study, optuna.storages.RDBStorage]:
        wait = {"connect_args": {"timeout": _SECONDS_FOR_OTHERS}}
        pruner = optuna.pruners.PercentilePruner(
            _KEPT_PERCENT, n_startup_trials=_COMPARED_WITH, n_warmup_steps=_FIRST_CUT, n_min_trials=_COMPARED_WITH
        )
        try:
            storage = optuna.storages.RDBStorage(f"sqlite:///{self._file}", engine_kwargs=wait)
            study = optuna.create_study(storage=storage, study_name="sweep", load_if_exists=True, pruner=pruner)
        except Exception as error:  # SQLAlchemy's errors come through as they are
            raise StudyError(
                f"{self._file} cannot be opened as a sweep's study ({type(error).__name__}); give another --out"
            ) from error
        return study, storage

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep the other processes waiting while trials are claimed, ended or read."""
        with alone(self._folder / "lock"):
            try:
                yield
            except optuna.exceptions.StorageInternalError as error:
                raise StudyError(f"{self._file} cannot be read or written: is its disk full?") from error


def _make(folder: Path, file: Path) -> None:
    try:
        if folder.is_dir() and not file.exists() and {one.name for one in folder.iterdir()} - {"lock", "trials"}:
            raise StudyError(f"{folder} holds something else than a sweep; give another --out")
        (folder / "trials").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"cannot write into {folder}: {error.strerror or error}") from error


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {
        name: FloatDistribution(values.low, values.high, log=values.log)
        if isinstance(values, Range)
        else CategoricalDistribution(values)
        for name, values in space.items()
    }


def _outcome(trial: FrozenTrial, *, repeated: bool) -> Outcome:
    state = {TrialState.FAIL: "stopped" if repeated else "failed"}.get(trial.state, trial.state.name.lower())
    facts = {key: value for key, value in trial.user_attrs.items() if key not in (_REPEATS, _DEATHS)}
    return Outcome(trial.number, state, trial.params, facts.pop(_SCORE, None), facts)
