"""Where a start goes on from, and what it may spend."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from persona.card import CardError, read_card
from training.budget import Budget
from training.checkpoints import State
from training.conductor import Progress
from training.job import Job
from training.options import DEFAULT_MINUTES, Options
from training.runfolder import RunError, RunFolder

_DONE = ("minutes", "steps", "early stopping")  # how a start ends that was not cut short

Tell = Callable[[str], None]
Start = Mapping[str, Any]  # a start as the metrics have it


@dataclass(frozen=True, slots=True)
class Place:
    """Where a start begins: the state gone on from (None for a beginning) and what is known by then.

    `adds` where this start adds minutes or steps to what was asked for before.
    """

    state: State | None
    progress: Progress
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
    if not options.resume:
        return Place(None, Progress(max_steps=options.max_steps, split=job.split))
    adds_minutes = _adds_minutes(options, folder)
    state = folder.states.latest(tell)
    if state is None:
        tell("This run was stopped before its first checkpoint: starting again.")
        steps = options.max_steps or (None if adds_minutes else _steps_before(folder))
        return Place(None, Progress(max_steps=steps, split=job.split))
    progress = Progress.of(state.progress())
    adds = adds_minutes or _adds_steps(options, progress)
    if adds:
        state, progress = _before_the_decay(folder, state, tell)
    elif (last := _last_start(folder)) and last.get("adds") and state.step <= last["step"]:
        adds, progress.decays, progress.strikes = True, [], 0  # the start that added was killed before it saved
    if progress.split != job.split:
        raise RunError(f"{folder.path} was trained on another split of its corpora, by another version of this program")
    if options.max_steps or adds_minutes:
        progress.max_steps = options.max_steps
    else:
        progress.max_steps = (_last_start(folder) or {}).get("max_steps", progress.max_steps)
    _check_unfinished(options, folder, state, progress)
    _know_best(folder, progress, newest=options.keep_last)
    tell(f"Going on from {state.folder.name}, {progress.tokens:,} tokens read so far.")
    return Place(state, progress, adds)


def open_budget(job: Job, place: Place) -> Budget:
    """Return what may be spent over all starts, and write down that a start begins; raises RunError if nothing."""
    options, folder, steps = job.options, job.folder, place.progress.max_steps
    spent, last, adds = 0.0, None, False
    if options.resume:
        last, adds = _last_start(folder), _adds_minutes(options, folder)
        job.team.wait()  # all have found their place: what is ahead of it may go
        if job.team.leads:
            spent = _forget(folder, place)
        spent = job.team.share(spent)
    bound = _bound(options, last, steps, spent if adds else None)
    budget = Budget(bound, options.started, spent)
    if not budget.left() > 0:
        raise RunError(f"the minutes of this run are spent; the best is in {folder.model}, --max-minutes adds more")
    asked = last.get("asked", last["until"]) if last and options.minutes is None else options.minutes
    known = {"until": None if math.isinf(bound) else bound, "asked": asked, "max_steps": steps, "adds": place.adds}
    folder.log(
        {"kind": "start", "step": place.step, "minutes": spent, **known, "command": list(options.command)},
    )
    return budget


def _bound(options: Options, last: Start | None, steps: int | None, added_to: float | None) -> float:
    """Return the minutes that all starts may take, infinite where `steps` bound the run.

    `last` is the start before, None at the beginning; `added_to` are the minutes spent where minutes are added.
    """
    before = (last["until"] or math.inf) if last else None
    if options.minutes is not None and (before is None or added_to is not None):
        return options.minutes + (0.0 if before is None else (added_to or 0.0) if math.isinf(before) else before)
    if before is None or (options.max_steps and options.minutes is None):
        return math.inf if steps else DEFAULT_MINUTES
    return before if steps or not math.isinf(before) else DEFAULT_MINUTES


def _last_start(folder: RunFolder) -> Start | None:
    return next((one for one in reversed(list(folder.metrics())) if one["kind"] == "start"), None)


def _adds_minutes(options: Options, folder: RunFolder) -> bool:
    """Say whether minutes are added: the very command of a start that was cut short goes on within its own."""
    last = _last_start(folder)
    if options.minutes is None or last is None:
        return False
    ends = [one for one in folder.metrics() if one["kind"] in ("start", "end")]
    spent = max((one.get("minutes", 0.0) for one in folder.metrics()), default=0.0)
    is_done = ends[-1].get("reason") in _DONE or spent >= (last["until"] or math.inf)
    return is_done or options.minutes != last.get("asked", last["until"])


def _adds_steps(options: Options, progress: Progress) -> bool:
    return bool(options.max_steps and progress.max_steps and options.max_steps > progress.max_steps)


def _steps_before(folder: RunFolder) -> int | None:
    """Return the bound in steps that the start before had, None where it had none."""
    return (_last_start(folder) or {}).get("max_steps")


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
