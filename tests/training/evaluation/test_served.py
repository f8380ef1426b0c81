"""Pieces computed through the served path: what the engine is asked, and that nothing is asked twice."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.engine.chooser import Chooser, ChooserOptions
from bot.engine.protocol import Abilities, EngineError
from bot.engine.scripted import Line, ScriptedEngine
from persona.characters import friends
from tests.training.evaluation.test_plan import scenes
from training.evaluation.pieces import Ledger
from training.evaluation.plan import Plan, Size, make_plan
from training.evaluation.served import Served, UnscoredError, compute

FRIENDS = friends()
PLAN = make_plan(scenes(), FRIENDS, Size(6, 8, 0))


def served(script: Sequence[Line], *, scores: bool = True) -> tuple[ScriptedEngine, Served]:
    engine = ScriptedEngine(script, abilities=Abilities(scores=scores, candidates=2), queue_size=64)
    chooser = Chooser(engine, FRIENDS, ChooserOptions(attempts=1))
    return engine, Served(engine, chooser, FRIENDS, lambda text: len(text.split()) + 1)


async def test_all_pieces_of_a_plan_are_computed(tmp_path: Path) -> None:
    engine, house = served(["One.", "Two words."])
    ledger, steps = Ledger(tmp_path / "p.jsonl"), []
    await compute(PLAN, house, ledger, steps.append)
    assert ledger.has(PLAN)
    assert steps == list(range(1, PLAN.pieces + 1))
    for line in PLAN.lines:
        found = ledger.lines[line.number]
        assert set(found.here) == set(found.nowhere) == {one.name for one in FRIENDS}
        assert found.tokens == 5
        assert len(found.among) == 20
        assert found.among[0][:2] == (found.here[line.persona.name], found.nowhere[line.persona.name])
    asked = {(one.conversation, one.persona.name, one.replies) for one in engine.scored}
    for line in PLAN.lines:
        assert {(line.conversation, one.name, (line.said,)) for one in FRIENDS} <= asked
        assert (line.conversation, line.persona.name, (line.said, *line.others)) in asked
    for ask in PLAN.asks:
        sent = ledger.replies[ask.kind, ask.number]
        assert sent.text in {"One.", "Two words."}
        assert not sent.fallback
        assert {one.text for one in sent.drafts} <= {"One.", "Two words."}


async def test_what_is_there_is_not_asked_for_again(tmp_path: Path) -> None:
    engine, house = served(["Fine.", EngineError("the model failed (Boom)"), "Good."])
    ledger = Ledger(tmp_path / "p.jsonl")
    with pytest.raises(EngineError, match="Boom"):
        await compute(PLAN, house, ledger, lambda done: None)
    done = set(ledger.replies)
    assert len(ledger.lines) == len(PLAN.lines)
    engine, house = served(["Fine."])
    ledger = Ledger(tmp_path / "p.jsonl")
    await compute(PLAN, house, ledger, lambda done: None)
    assert ledger.has(PLAN)
    again = {one.conversation for one in engine.asked}
    assert not again & {one.conversation for one in PLAN.asks if (one.kind, one.number) in done}
    assert len(engine.asked) == len(PLAN.asks) - len(done)


async def test_seeds_are_a_reply_s_own(tmp_path: Path) -> None:
    seeds = []
    for size in (8, 3):
        engine, house = served(["Fine."])
        await compute(make_plan(scenes(), FRIENDS, Size(0, size, 0)), house, Ledger(tmp_path / f"{size}.jsonl"), print)
        seeds.append({one.conversation: one.seed for one in engine.asked})
    assert len(set(seeds[0].values())) == 8
    assert seeds[1].items() <= seeds[0].items()


async def test_where_nothing_may_be_said_it_is_a_fallback(tmp_path: Path) -> None:
    _, house = served(["..."])
    ledger = Ledger(tmp_path / "p.jsonl")
    await compute(Plan((), PLAN.asks[:1]), house, ledger, lambda done: None)
    [found] = ledger.replies.values()
    assert found.fallback
    assert found.text == ""
    assert {one.refusal for one in found.drafts} == {"empty"}


async def test_an_engine_that_cannot_score_is_refused_in_a_sentence(tmp_path: Path) -> None:
    _, house = served(["Fine."], scores=False)
    with pytest.raises(UnscoredError, match="cannot score replies"):
        await compute(PLAN, house, Ledger(tmp_path / "p.jsonl"), lambda done: None)
