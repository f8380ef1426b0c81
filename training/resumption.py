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

Tell = Callable[[str], None]


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
    beginning = Place(None, Progress(max_steps=options.max_steps, split=job.split))
    if not options.resume:
        return beginning
    state = folder.states.latest(tell)
    if state is None:
        tell("This run was stopped before its first checkpoint: starting again.")
        return beginning
    progress = Progress.of(state.progress())
    adds = _adds(options, progress)
    if adds:
        state, progress = _before_the_decay(folder, state, tell)
    if progress.split != job.split:
        raise RunError(f"{folder.path} was trained on another split of its corpora, by another version of this program")
    _check_unfinished(options, folder, state, progress)
    progress.max_steps = options.max_steps
    _know_best(folder, progress, newest=options.keep_last)
    tell(f"Going on from {state.folder.name}, {progress.tokens:,} tokens read so far.")
    return Place(state, progress, adds)


def open_budget(job: Job, place: Place) -> Budget:
    """Return what may be spent over all starts, and write down that a start begins; raises RunError if nothing."""
    options, folder = job.options, job.folder
    spent, before = 0.0, None
    if options.resume:
        starts = [record for record in folder.metrics() if record["kind"] == "start"]
        before = (starts[-1]["until"] or math.inf) if starts else None
        if job.team.leads:
            kept, best = (place.step, place.progress.best_step) if place.state else (-1, -1)
            spent = folder.forget_after(kept, but=best, decays=place.adds)
        spent = job.team.share(spent)
    bound = _bound(options, before, spent)
    budget = Budget(bound, options.started, spent)
    if not budget.left() > 0:
        raise RunError(f"the minutes of this run are spent; the best is in {folder.model}, --max-minutes adds more")
    until = None if math.isinf(bound) else bound
    command = list(options.command)
    folder.log({"kind": "start", "step": place.step, "minutes": spent, "until": until, "command": command})
    return budget


def _bound(options: Options, before: float | None, spent: float) -> float:
    """Return the minutes that all starts may take; `before` is what was so far, None at the beginning."""
    if options.minutes is None:
        if options.max_steps:
            return math.inf
        return DEFAULT_MINUTES if before is None else before
    if before is None:
        return options.minutes
    return options.minutes + (spent if math.isinf(before) else before)


def _adds(options: Options, progress: Progress) -> bool:
    more_steps = bool(options.max_steps and progress.max_steps and options.max_steps > progress.max_steps)
    return options.minutes is not None or more_steps


def _before_the_decay(folder: RunFolder, state: State, tell: Tell) -> tuple[State, Progress]:
    """Return the last stable state, with no decay planned and no strike counted."""
    stable = state if state.is_stable else folder.states.latest(tell, stable=True)
    if stable is None:
        raise RunError(f"no checkpoint in {folder.path} is from before the decay, so nothing can be added")
    progress = Progress.of(stable.progress())
    progress.decays, progress.strikes = [], 0
    return stable, progress


def _check_unfinished(options: Options, folder: RunFolder, state: State, progress: Progress) -> None:
    if options.max_steps and state.step >= options.max_steps:
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
