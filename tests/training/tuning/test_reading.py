"""What is read of a reply is what the engine says of it, and as much as the bot would ask."""

from bot.engine.chooser import Chooser, ChooserOptions
from bot.engine.protocol import Abilities, ScoreRequest
from bot.engine.scorer import Scorer
from bot.engine.scripted import ScriptedEngine
from persona.characters import find_persona, friends
from persona.dialogue import Scene
from persona.ranking import ELSEWHERE, PARTS, Weights
from tests.training.tuning.plays import play
from training.tuning.contexts import choose_contexts
from training.tuning.reading import Reader

FRIENDS = friends()
PERSONAS = tuple(find_persona(name, FRIENDS) for name in ("joey", "monica"))
CONTEXTS = choose_contexts(play(), PERSONAS, 6, seed=1)
SCRIPT = ["Sure.", "Why not, my friend?", "yeah yeah yeah", "Sure."]


def tokens(text: str) -> int:
    return len(text.split()) + 1


def silent(done: int, of: int) -> None:
    return


def reader(engine: ScriptedEngine, *, draws: bool = True) -> Reader:
    options = ChooserOptions(candidates=4, attempts=1, weights=Weights(1, 0, 0, 0))
    return Reader(Scorer(engine, FRIENDS), tokens, Chooser(engine, FRIENDS, options) if draws else None)


async def test_every_column_is_the_engines() -> None:
    engine = ScriptedEngine(SCRIPT, abilities=Abilities())
    done: list[tuple[int, int]] = []
    reads = await reader(engine).read(CONTEXTS, 0, lambda *now: done.append(now))
    assert [read.context for read in reads] == CONTEXTS
    assert done == [(number, 6) for number in range(1, 7)]
    read, persona = reads[0], CONTEXTS[0].persona
    for text, known in list(zip(CONTEXTS[0].replies, read.replies, strict=True))[::9]:
        [here] = await engine.score(ScoreRequest(CONTEXTS[0].conversation, persona, (text,)))
        [nowhere] = await engine.score(ScoreRequest(Scene(()), persona, (text,)))
        assert (known.tokens, known.here, known.nowhere) == (tokens(text), here, nowhere)
        assert (len(known.others), len(known.elsewhere)) == (5, len(ELSEWHERE))
        [chandler] = await engine.score(ScoreRequest(CONTEXTS[0].conversation, FRIENDS[1], (text,)))
        assert chandler in known.others


async def test_what_is_drawn_has_passed_the_guard_and_stands_once() -> None:
    engine = ScriptedEngine(SCRIPT, abilities=Abilities())
    for read in await reader(engine).read(CONTEXTS, 0, silent):
        assert {candidate.text for candidate, _ in read.drawn} == {"Sure.", "Why not, my friend?"}
        for candidate, known in read.drawn:
            assert (known.here, known.tokens) == (candidate.logprob, candidate.tokens)
            assert known.nowhere is not None


async def test_each_context_has_its_seed_and_nothing_is_asked_twice_elsewhere() -> None:
    engine = ScriptedEngine(SCRIPT, abilities=Abilities())
    asking = reader(engine)
    await asking.read(CONTEXTS, 10, silent)
    assert sorted(request.seed or 0 for request in engine.asked) == [10, 11, 12, 13, 14, 15]
    before = len(engine.scored)
    await asking.read(CONTEXTS[:1], 10, silent)
    again = engine.scored[before:]
    assert len(again) == 1 + 1 + 5, "here, nowhere and the other names"


async def test_without_a_chooser_nothing_is_drawn() -> None:
    engine = ScriptedEngine(SCRIPT, abilities=Abilities())
    asking = reader(engine, draws=False)
    [read] = await asking.read(CONTEXTS[:1], 0, silent)
    assert (read.drawn, engine.asked) == ((), [])
    assert await asking.milliseconds([read]) == {}


async def test_the_cost_of_a_part_is_that_of_the_requests_which_the_bot_makes() -> None:
    engine = ScriptedEngine(["Sure.", "Why not?", "Well, no.", "I see."], abilities=Abilities())
    asking = reader(engine)
    reads = await asking.read(CONTEXTS[:1], 0, silent)
    before = len(engine.scored)
    spent = await asking.milliseconds(reads)
    assert spent.keys() == set(PARTS)
    assert spent["likelihood"] == 0 < spent["persona_gain"]
    asked = engine.scored[before:]
    assert [len(one.replies) for one in asked if not one.conversation.turns] == [4]
    assert [len(one.replies) for one in asked if one.conversation.turns] == [4] * (5 + len(ELSEWHERE))
