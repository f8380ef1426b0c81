"""Continuous batching: tasks join at the next step and leave when they are done. Imports torch.

A step computes the pending tokens of every row: the one of each row that is drawing, and those of
prompts and of replies to score up to a budget. Who came first is let in first. A prompt is computed
once for all its replies, and what the cache knows of it not at all.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch

from bot import logs
from bot.engine.planning import Chunk, choose, plan
from bot.engine.prefixes import PrefixCache
from bot.engine.sampling import Drawn, draw, draw_again
from bot.engine.slots import Slots
from bot.engine.tasks import Generation, Row, Scoring

_BUDGET = {"cpu": 256, "cuda": 2048}
_LEAST_BUDGET = 32
_REDRAWN = 4

_log = logs.logger("engine")


def _straight(drawn: Drawn, number: int, at: int, task: Generation, logits: torch.Tensor) -> Drawn:
    """Return what was drawn for candidate `number` from `logits[at]`, or another token where it goes in circles."""
    refused: list[int] = []
    while task.goes_in_circles(number, drawn.token) and len(refused) < _REDRAWN:
        refused.append(drawn.token)
        drawn = draw_again(logits[at], task.draws[number], refused)
    return drawn


class Batch:
    """The tasks in hand of a model whose attention reads `slots`; `use` switches to an adapter by name."""

    def __init__(self, model: Any, slots: Slots, prefixes: PrefixCache, use: Callable[[str], None]) -> None:
        self._model = model
        self._slots = slots
        self._prefixes = prefixes
        self._use = use
        self._budget = _BUDGET.get(slots.kept.device.type, _BUDGET["cpu"])
        self._waiting: deque[Generation | Scoring] = deque()
        self._rows: list[Row] = []
        self._reserved: dict[int, list[int]] = {}
        self._adapter = ""
        self._keeps = True  # whether the cache has not failed since the model last computed
        self._half_way = False  # whether logits were being handed out when the last step failed

    def add(self, task: Generation | Scoring) -> None:
        """Let a task, of at most `Slots.count` replies, wait for its turn."""
        self._waiting.append(task)

    def drop(self, task: Generation | Scoring) -> None:
        """Forget a task, whatever became of it."""
        if task in self._waiting:
            self._waiting.remove(task)
        for row in [row for row in self._rows if row.task is task]:
            self._leave(row)
        for slot in self._reserved.pop(id(task), []):
            self._slots.give_back(slot)

    def relieve(self) -> None:
        """Compute less at once from now on: memory ran out."""
        self._budget = max(_LEAST_BUDGET, self._budget // 2)

    def step(self) -> None:
        """Let in whoever there is room for, and compute one step.

        It may be tried again where memory ran out: MemoryError where it did too late for that, behind the
        model, so that rows are computed whose logits are lost. Dropping the tasks is all that helps them.
        """
        if self._half_way and self._rows:
            raise MemoryError
        self._half_way = False
        while self._waiting and self._slots.free >= self._waiting[0].width:
            self._admit(self._waiting.popleft())
        chunks = choose(self._of_next_adapter(), self._budget)
        if chunks:
            logits = self._computed(chunks)
            self._keeps = self._half_way = True
            self._hand_out(chunks, logits)
            self._half_way = False

    def _admit(self, task: Generation | Scoring) -> None:
        """Begin a task with the row that all its replies share, the trunk."""
        slots = [self._slots.take() for _ in range(task.width)]
        self._reserved[id(task)] = slots[1:]
        # Scoring needs no logits of the trunk but the last token's, which each reply's row computes.
        ids = task.prompt if isinstance(task, Generation) else task.prompt[:-1]
        trunk = Row(task, slots[0], list(ids), 0, len(task.prompt) - 1)
        self._rows.append(trunk)  # before anything can fail, so that its slot is given back
        if not task.anew:
            trunk.computed = self._slots.fill(slots[0], self._prefixes.find(task.prompt, task.adapter))
        if isinstance(task, Scoring) and (len(task.replies) == 1 or trunk.pending == 0):
            self._fork(trunk, {at: reply[:-1] for at, reply in enumerate(task.replies)})

    def _of_next_adapter(self) -> list[Row]:
        """Return the rows of one adapter, of each in turn."""
        adapters = sorted({row.task.adapter for row in self._rows})
        if adapters:
            self._adapter = next((one for one in adapters if one > self._adapter), adapters[0])
        return [row for row in self._rows if row.task.adapter == self._adapter]

    def _computed(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Run the model over `chunks`; return the logits (W, V) of their wanted tokens, one after another."""
        device = self._slots.kept.device
        ids: list[int] = []
        wanted: list[int] = []
        for chunk in chunks:
            wanted += [len(ids) + at for at in chunk.wanted]
            ids += chunk.row.ids[chunk.row.computed : chunk.row.computed + chunk.size]
        planned = plan(chunks, self._slots.kept)
        self._use(self._adapter)
        output = self._model(
            input_ids=torch.tensor([ids], device=device),
            position_ids=planned.positions.unsqueeze(0),
            logits_to_keep=torch.tensor(wanted, dtype=torch.long, device=device),
            use_cache=False,
            plan=planned,
        )
        logits: torch.Tensor = output.logits[0]
        return logits

    def _hand_out(self, chunks: Sequence[Chunk], logits: torch.Tensor) -> None:
        drawing: list[tuple[Row, int]] = []
        start = 0
        for chunk in chunks:
            row, wanted = chunk.row, chunk.wanted
            own, start = logits[start : start + len(wanted)], start + len(wanted)
            position = row.computed + wanted.start
            row.computed += chunk.size
            self._slots.filled(row.slot, row.computed)
            if isinstance(row.task, Scoring):
                self._score(row, own, position)
            elif wanted:
                drawing.append((row, start - 1))
        if drawing:
            self._draw(drawing, logits)

    def _score(self, row: Row, logits: torch.Tensor, position: int) -> None:
        task = row.task
        if not isinstance(task, Scoring):
            return
        if row.number is not None:
            if len(logits) and not task.take(row, logits, position):
                self._leave(row)
        elif row.pending == 0:
            self._fork(row, {at: reply[:-1] for at, reply in enumerate(task.replies)})

    def _draw(self, drawing: Sequence[tuple[Row, int]], logits: torch.Tensor) -> None:
        """Draw a token for each row, for every candidate where the row is their trunk; `logits` has their places."""
        each = [
            (row, number, at, row.task)
            for row, at in drawing
            if isinstance(row.task, Generation)
            for number in (range(row.task.n) if row.number is None else (row.number,))
        ]
        drawn = draw(logits[[at for _, _, at, _ in each]], [task.draws[number] for _, number, _, task in each])
        drawn = [_straight(one, *asked[1:], logits) for one, asked in zip(drawn, each, strict=True)]
        going: dict[Row, dict[int, list[int]]] = {row: {} for row, _ in drawing}
        for (row, number, _, task), one in zip(each, drawn, strict=True):
            if task.take(number, one):
                going[row][number] = [one.token]
        for row, said in going.items():
            if row.number is None:
                self._fork(row, said)
            elif row.number in said:
                row.ids += said[row.number]
                row.wanted = len(row.ids) - 1
            else:
                self._leave(row)

    def _fork(self, trunk: Row, said: dict[int, list[int]]) -> None:
        """Let a row for each reply, by number, go on from the trunk with what is `said`; the first takes its place."""
        task = trunk.task
        self._keep(trunk, anew=task.anew)
        reserved = self._reserved.get(id(task), [])
        first = len(task.prompt) - (1 if isinstance(task, Scoring) else 0)
        for at, (number, ids) in enumerate(said.items()):
            row = trunk
            if at:
                row = Row(task, reserved.pop(0), [], trunk.computed, trunk.wanted, number)
                self._rows.append(row)  # likewise
                self._slots.copy(trunk.slot, row.slot, trunk.computed)
            row.number = number
            row.ids = [*task.prompt, *ids]
            row.wanted = first
        for slot in self._reserved.pop(id(task), []):
            self._slots.give_back(slot)
        if not said:
            self._leave(trunk)

    def _leave(self, row: Row) -> None:
        if isinstance(row.task, Generation) and row.number is not None:
            self._keep(row)
        self._rows.remove(row)
        self._slots.give_back(row.slot)

    def _keep(self, row: Row, *, anew: bool = False) -> None:
        """Let the cache keep what a row has computed, within what the slots leave of its limit.

        A cache that fails costs nobody a reply. It is emptied, as it may have promised what it does not
        hold, and left alone until the model has computed again.
        """
        if not self._keeps:
            return
        ids, kept = row.ids[: row.computed], self._slots.view(row.slot)
        try:
            self._prefixes.keep(ids, kept, row.task.adapter, anew=anew, taken=self._slots.touched)
        except Exception as error:
            self._keeps = False
            self._prefixes.clear()
            _log.error("the cache of prompts failed, and was emptied", error=type(error).__name__)
