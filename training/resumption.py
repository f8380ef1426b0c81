"""Where a start goes on from, and what it may spend."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from persona.card import CardError, read_card
from training.budget import Budget
from training.checkpoints import State
from training.conductor import Progress
from training.job import Job
from training.options import DEFAULT_MINUTES, Options
from training.runfolder import RunError, RunFolder

_DONE = ("minutes", "steps", "early stopping")  # how a start ends that was not cut short

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Before:
    """What the last start of a run was. `until` minutes bound all starts, infinite where steps do.

    It began after `step` steps, with so many minutes `asked` for, and `is_done` unless it was cut short; `adds` as in
    `Place`.
    """

    step: int
    until: float
    asked: float | None
    max_steps: int | None
    adds: bool
    is_done: bool

    @classmethod
    def of(cls, folder: RunFolder) -> "Before | None":
        """Return what the metrics say of it; None where nothing has begun."""
        records = list(folder.metrics())
        turns = [one for one in records if one["kind"] in ("start", "end")]
        last = next((one for one in reversed(turns) if one["kind"] == "start"), None)
        if last is None:
            return None
        until = last["until"] or math.inf
        spent = max(one.get("minutes", 0.0) for one in records)
        return cls(
            last["step"],
            until,
            last.get("asked", last["until"]),
            last.get("max_steps"),
            last.get("adds", False),
            turns[-1].get("reason") in _DONE or spent >= until,
        )

    def adds_minutes(self, minutes: float | None) -> bool:
        """Say whether `minutes` come on top: the very command of a start that was cut short goes on within its own."""
        return minutes is not None and (self.is_done or minutes != self.asked)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a start begins: the state gone on from (None for a beginning), what is known by then, and the start before.

    `adds` where minutes or steps are added to what was asked for before. Steps bound the run where
    `progress.max_steps` says so.
    """

    state: State | None
    progress: Progress
    before: Before | None = None
    adds: bool = False

    @property
    def step(self) -> int:
        """Return the steps done, 0 at the beginning."""
        return self.state.step if self.state else 0


def find_place(job: Job, tell: Tell) -> Place:
    """Return the newest state of a resumed run, or its last stable one where more is to be trained.

    Raises RunError where nothing is left to be done, or the state belongs to another run.
    """
    options, folder = job.options, job.folder
    before = Before.of(folder) if options.resume else None
    adds_minutes = before is not None and before.adds_minutes(options.minutes)
    steps = options.max_steps if options.max_steps or adds_minutes or not before else before.max_steps
    state = folder.states.latest(tell) if options.resume else None
    if state is None:
        if options.resume:
            tell("This run was stopped before its first checkpoint: starting again.")
        return Place(None, Progress(max_steps=steps, split=job.split), before)
    progress = Progress.of(state.progress())
    adds_steps = bool(options.max_steps and progress.max_steps and options.max_steps > progress.max_steps)
    # A start that added and was killed before it saved anything is begun again.
    adds_again = before is not None and before.adds and state.step <= before.step
    if adds := adds_minutes or adds_steps or adds_again:
        state, progress = _before_the_decay(folder, state, tell)
    if progress.split != job.split:
        raise RunError(f"{folder.path} was trained on another split of its corpora, by another version of this program")
    progress.max_steps = steps
    _check_unfinished(options, folder, state, progress)
    _know_best(folder, progress, newest=options.keep_last)
    tell(f"Going on from {state.folder.name}, {progress.tokens:,} tokens read so far.")
    return Place(state, progress, before, adds)


def open_budget(job: Job, place: Place) -> Budget:
    """Return what may be spent over all starts, and write down that a start begins; raises RunError if nothing."""
    options, folder, before, steps = job.options, job.folder, place.before, place.progress.max_steps
    spent = 0.0
    if options.resume:
        job.team.wait()  # until all have found their place: what is ahead of it goes
        spent = job.team.share(_forget(folder, place) if job.team.leads else spent)
    bound = _bound(options, before, steps, spent)
    budget = Budget(bound, options.started, spent)
    if not budget.left() > 0:
        raise RunError(f"the minutes of this run are spent; the best is in {folder.model}, --max-minutes adds more")
    asked = before.asked if before and options.minutes is None else options.minutes
    known = {"until": None if math.isinf(bound) else bound, "asked": asked, "max_steps": steps, "adds": place.adds}
    command = list(options.command)
    folder.log({"kind": "start", "step": place.step, "minutes": spent, **known, "command": command})
    return budget


def _bound(options: Options, before: Before | None, steps: int | None, spent: float) -> float:
    """Return the minutes that all starts may take, infinite where `steps` alone bound the run."""
    unasked = math.inf if steps else DEFAULT_MINUTES
    if before is None:
        return unasked if options.minutes is None else options.minutes
    if options.minutes is None:
        return unasked if options.max_steps or math.isinf(before.until) else before.until
    if before.adds_minutes(options.minutes):
        return options.minutes + (spent if math.isinf(before.until) else before.until)
    return before.until


def _forget(folder: RunFolder, place: Place) -> float:
    """Drop what is trained again, and the states that a run that went back left ahead; return the minutes spent."""
    kept, best = (place.step, place.progress.best_step) if place.state else (-1, -1)
    if place.adds:  # else a plain --resume after a kill would go on in the decay that was undone
        folder.states.tidy(kept, best)
    return folder.forget_after(kept, but=best, decays=place.adds)


def _before_the_decay(folder: RunFolder, state: State, tell: Tell) -> tuple[State, Progress]:
    """Return the last stable state, with no decay planned and no strike counted."""
    stable = state if state.is_stable else folder.states.latest(tell, stable=True)
    if stable is None:
        raise RunError(f"no checkpoint in {folder.path} is from before the decay, so nothing can be added")
    progress = Progress.of(stable.progress())
    progress.decays, progress.strikes = [], 0
    return stable, progress


def _check_unfinished(options: Options, folder: RunFolder, state: State, progress: Progress) -> None:
    if progress.max_steps and state.step >= progress.max_steps:
        raise RunError(
            f"the {state.step} steps of this run are done; the best is in {folder.model}, --max-steps adds more"
        )
    if progress.strikes >= options.patience:
        raise RunError(
            f"this run stopped early, since it got no better any more; the best is in {folder.model}, "
            "--max-minutes adds minutes all the same"
        )


def _know_best(folder: RunFolder, progress: Progress, *, newest: bool) -> None:
    """Take the model on the disk into account: it may be newer than the state gone on from.

    It is the best where its score is, or where the `newest` is kept whatever its score.
    """
    try:
        card = read_card(folder.model)
        score, step = float(card.measures["validation_score"]), int(card.training["steps"])
    except (CardError, KeyError, TypeError, ValueError):
        return
    if newest or score < progress.best:
        progress.best, progress.best_step = score, step
