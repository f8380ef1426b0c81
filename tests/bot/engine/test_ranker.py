"""Which candidate comes first, what that asks of the engine, and every way to rank by less."""

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bot.engine.chooser import Chooser, ChooserOptions, Consideration
from bot.engine.local import LocalEngine
from bot.engine.protocol import SCORES_A_REPLY, Abilities, Busy, Candidate, EngineError, ScoreRequest
from persona.characters import find_persona, friends
from persona.dialogue import Scene, Turn
from persona.ranking import ELSEWHERE, PARTS, Weights
from tests.bot.engine import pupils
from tests.bot.engine.tables import TableEngine, drawn

FRIENDS = friends()
JOEY = find_persona("joey", FRIENDS)
SCENE = Scene((Turn("Guest", "what did you have for lunch?"),))
INFORMATION, LIKELIHOOD = Weights(0, 1, 0, 0), Weights(1, 0, 0, 0)
TEXTS = ("Yeah.", "I had a sandwich.", "Oh my God.", "A sandwich, or two.")
# The dull reply is likely everywhere, the sandwiches are likely here alone, and one of them is Joey's.
HERE = {"Yeah.": -4.0, "I had a sandwich.": -12.0, "Oh my God.": -9.0, "A sandwich, or two.": -14.0}
NOWHERE = {"Yeah.": -5.0, "I had a sandwich.": -20.0, "Oh my God.": -8.0, "A sandwich, or two.": -21.0}


def nats(request: ScoreRequest, reply: str) -> float:
    if not request.conversation.turns:
        return NOWHERE.get(reply, -15.0)
    if request.conversation != SCENE:
        return NOWHERE.get(reply, -15.0) - 1
    is_joeys = request.persona != JOEY and reply == "A sandwich, or two."
    return HERE.get(reply, -12.0) - (6.0 if is_joeys else 0.0)


def table(*texts: str, **fields: object) -> TableEngine:
    candidates = [drawn(text, HERE[text]) for text in texts or TEXTS]
    return replace(TableEngine(candidates, nats), **fields)


async def considered(engine: TableEngine, weights: Weights | None = None, **given: float) -> Consideration:
    options = ChooserOptions(weights=weights or Weights())
    return await Chooser(engine, FRIENDS, options).consider(SCENE, JOEY, seed=1, **given)


def text(found: Consideration) -> str | None:
    return found.chosen.text if found.chosen else None


async def test_information_beats_likelihood_and_the_persona_decides() -> None:
    assert text(await considered(table(), LIKELIHOOD)) == "Yeah."
    assert text(await considered(table(), INFORMATION)) == "I had a sandwich."
    assert text(await considered(table(), Weights(0, 1, 1, 0))) == "A sandwich, or two."


async def test_what_everybody_says_everywhere_loses() -> None:
    plain = Weights(0, 1, 0, 0, dict.fromkeys(PARTS, 0.0))  # whatever short replies are like
    assert text(await considered(table("Yeah.", "Oh my God."), plain)) == "Yeah."
    assert text(await considered(table("Yeah.", "Oh my God."), Weights(1, 0, 0, 0))) == "Yeah."
    assert text(await considered(table("Yeah.", "I had a sandwich."), Weights(0.1, 0, 0, 1))) == "I had a sandwich."


async def test_each_step_is_asked_in_the_fewest_requests() -> None:
    engine = table()
    found = await considered(engine, Weights(1, 1, 1, 1))
    [nowhere] = engine.told("nowhere")
    assert nowhere == ScoreRequest(Scene(()), JOEY, TEXTS)
    assert engine.told("here") == []  # drawing has told
    others = engine.told("others")
    assert [one.persona.id for one in others] == ["chandler", "monica", "phoebe", "rachel", "ross"]
    assert {len(one.replies) for one in others} == {3}, "the best few alone"
    assert "Oh my God." not in others[0].replies, "the worst by what was known before"
    elsewhere = engine.told("elsewhere")
    assert [one.conversation.turns[-1].text for one in elsewhere] == list(ELSEWHERE)
    assert len({one.persona.id for one in elsewhere}) == len(ELSEWHERE)
    for one in found.candidates:
        assert one.parts is not None
        assert (one.parts.persona_gain, one.parts.commonness) != (0, 0) or one.candidate.text == "Oh my God."


@pytest.mark.parametrize(
    ("weights", "asked"),
    [(Weights(1, 1, 1, 1), 3), (Weights(1, 0, 1, 1), 3), (Weights(1, 0, 1, 0), 5)],
)
async def test_the_fewer_parts_weigh_the_more_candidates_are_asked_about_in_full(weights: Weights, asked: int) -> None:
    texts = [f"I had {number} sandwiches." for number in range(2, 10)]
    engine = TableEngine([drawn(one, -12.0) for one in texts], nats)
    await considered(engine, weights)
    assert {len(one.replies) for one in engine.told("others")} == {asked}


async def test_the_names_are_asked_side_by_side() -> None:
    engine = table(fails={"others": 0.05, "elsewhere": 0.05})
    began = time.perf_counter()
    await considered(engine)
    assert time.perf_counter() - began < 0.15


async def test_ranking_asks_less_at_once_than_an_engine_has_places_for() -> None:
    engine = table(fails={"nowhere": 0.01, "others": 0.01, "elsewhere": 0.01})
    await considered(engine, Weights(1, 1, 1, 1))
    assert 1 < engine.most <= SCORES_A_REPLY


@pytest.mark.parametrize(
    ("weights", "kinds"),
    [
        (LIKELIHOOD, set()),
        (INFORMATION, {"nowhere"}),
        (Weights(1, 0, 1, 0), {"others"}),
        (Weights(1, 0, 0, 1), {"elsewhere"}),
    ],
)
async def test_a_part_without_weight_is_not_asked(weights: Weights, kinds: set[str]) -> None:
    engine = table()
    await considered(engine, weights)
    assert {kind for kind, _ in engine.scored} == kinds


async def test_only_the_checkpoints_characters_compete() -> None:
    engine = table()
    alone = Chooser(engine, [JOEY], ChooserOptions(weights=Weights(1, 1, 1, 0)))
    found = await alone.consider(SCENE, JOEY)
    assert text(found) == "I had a sandwich."
    assert {kind for kind, _ in engine.scored} == {"nowhere"}


async def test_a_reply_that_was_shortened_is_scored_as_it_is_sent() -> None:
    cut = drawn("I had a sandwich. And then I", -50.0, "length")
    engine = TableEngine([drawn("Oh my God.", -9.0), cut], nats)
    found = await considered(engine, INFORMATION)
    [here] = engine.told("here")
    assert here == ScoreRequest(SCENE, JOEY, ("I had a sandwich.",))
    assert found.chosen == Candidate("I had a sandwich.", -12.0, 6, "length")


async def test_candidates_without_logprobs_are_scored_where_the_engine_can() -> None:
    engine = table(abilities=Abilities(logprobs=False))
    engine.candidates = [replace(one, logprob=None) for one in engine.candidates]
    found = await considered(engine, INFORMATION)
    assert [one.replies for one in engine.told("here")] == [TEXTS]
    assert text(found) == "I had a sandwich."


async def test_without_scores_the_sampled_logprob_ranks_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = table(abilities=Abilities(scores=False))
    chooser = Chooser(engine, FRIENDS, ChooserOptions(weights=INFORMATION))
    for _ in range(3):
        assert text(await chooser.consider(SCENE, JOEY)) == "Yeah."
    assert engine.scored == []
    [record] = caplog.records
    assert "cannot score" in record.getMessage()


async def test_without_scores_what_was_shortened_comes_last() -> None:
    engine = TableEngine([drawn("Sure. And", -1.0, "length"), drawn("Oh no.", -9.0)], abilities=Abilities(scores=False))
    assert text(await considered(engine)) == "Oh no."


async def test_without_logprobs_the_first_that_passes_is_sent_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    candidates = [drawn(one, None) for one in ("yeah yeah yeah", "Oh no.", "I see.")]
    engine = TableEngine(candidates, abilities=Abilities(logprobs=False, scores=False))
    chooser = Chooser(engine, FRIENDS)
    for _ in range(3):
        found = await chooser.consider(SCENE, JOEY)
        assert text(found) == "Oh no."
        assert [one.score for one in found.candidates] == [None] * 3
    [record] = caplog.records
    assert "no log-probabilities" in record.getMessage()


@pytest.mark.parametrize("failure", [Busy("full"), EngineError("it failed")])
@pytest.mark.parametrize(
    ("where", "chosen"), [("nowhere", "Yeah."), ("others", "I had a sandwich."), ("elsewhere", "I had a sandwich.")]
)
async def test_an_engine_that_fails_costs_the_ranking_alone(where: str, chosen: str, failure: Exception) -> None:
    engine = table(fails={where: failure})
    assert text(await considered(engine, Weights(0, 1, 1, 0.001))) == chosen


@pytest.mark.parametrize(("where", "chosen"), [("nowhere", "Yeah."), ("others", "I had a sandwich.")])
async def test_no_time_left_costs_the_ranking_alone(where: str, chosen: str) -> None:
    engine = table(fails={where: 60.0})
    began = time.monotonic()
    found = await considered(engine, Weights(0, 1, 1, 0), deadline=began + 0.1)
    assert text(found) == chosen
    assert time.monotonic() - began < 5
    assert engine.cancelled == len(engine.told(where)), "what nobody waits for is cancelled"


async def test_one_name_that_fails_cancels_the_others() -> None:
    engine = table(fails={"others": 60.0, "elsewhere": Busy("full")})
    assert text(await asyncio.wait_for(considered(engine, Weights(0, 1, 1, 1)), 5)) == "I had a sandwich."
    assert engine.cancelled == 5


async def test_cancelling_the_choice_cancels_the_scores() -> None:
    engine = table(fails={"others": 60.0})
    choosing = asyncio.create_task(considered(engine))
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(engine.told("others")) == 5
    choosing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await choosing
    assert engine.cancelled == 5


async def test_the_log_says_no_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="bot")
    await considered(table(fails={"nowhere": EngineError("a sandwich")}))
    [record] = caplog.records
    assert "sandwich" not in str(record.__dict__)
    assert "EngineError" in str(record.msg)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
async def test_a_model_prefers_what_it_was_taught_to_answer(kind: str, tmp_path: Path) -> None:
    pupil = pupils.taught(kind, tmp_path)
    engine = LocalEngine(lambda: pupil)
    try:
        chooser = Chooser(_Offering(engine), pupil.personas)
        found = await chooser.consider(pupils.SCENE, pupils.JOEY, seed=1)
        assert text(found) == pupils.REPLY
        other, taught = found.candidates
        assert other.parts is not None
        assert taught.parts is not None
        assert taught.parts.likelihood > other.parts.likelihood
        [asked] = await engine.score(ScoreRequest(pupils.SCENE, pupils.JOEY, (pupils.REPLY,)))
        assert taught.candidate.logprob == pytest.approx(asked, abs=1e-3)
    finally:
        await engine.aclose()


class _Offering:
    """A real engine that offers the reply it was taught beside another, neither of them with its log-probability."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self.ready, self.score, self.aclose = engine.ready, engine.score, engine.aclose

    async def generate(self, request: object) -> list[Candidate]:
        return [drawn("Nobody wants 12 bowls today!", None), drawn(pupils.REPLY, None)]
