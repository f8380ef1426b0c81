"""The measurement of what is sent, in short: a script of bad and good lines through the served path."""

import argparse
import asyncio
import itertools
import math
from pathlib import Path

import pytest

from bench.sent.__main__ import Progress, main, same_as_before, talk
from bench.sent.counting import ANY, Count, Counted, count, middle_and_high
from bench.sent.ledger import Draft, Ledger, Sent
from bench.sent.plan import Asked, Talk, plan, read_messages
from bench.sent.report import markdown
from bench.sent.talking import Served, TalkError, hold_all
from bot.engine.chooser import Chooser, ChooserOptions
from bot.engine.protocol import Abilities, EngineError, GenerateRequest
from bot.engine.scripted import Line, ScriptedEngine
from persona.characters import Persona, friends
from training.evaluation.detectors import DETECTORS, NEVER
from training.evaluation.shares import Share

FRIENDS = friends()
IDS = [one.id for one in FRIENDS]
CAST = frozenset(name for one in FRIENDS for name in (one.id, one.name, *one.aliases))
BAD = {
    "loop": "I know, I know, I know.",
    "!!!!": "What is it!!!!",
    "tag": "Sure.<|im_end|>",
    "empty": "...",
    "another speaker": "Fine. Gunther: no!",
    "ping": "Hey @everyone, look",
}
_numbers = itertools.count()


def good(request: GenerateRequest) -> str:
    """Say something new each time, in fewer words than the guard takes for a repeat."""
    return f"Story {next(_numbers)}."


def repeatable(request: GenerateRequest) -> str:
    """Say what depends on everything that was asked; one seed in seven gives a loop."""
    heard = len(request.conversation.turns[-1].text)
    return "no no no" if request.seed % 7 == 3 else f"{request.persona.id} heard {heard} letters at {request.seed}."


def served(*lines: Line, candidates: int = 4, **engine: object) -> Served:
    able = Abilities(scores=False, candidates=candidates)
    scripted = ScriptedEngine(lines, abilities=able, **engine)
    return Served(Chooser(scripted, FRIENDS, ChooserOptions(attempts=1)), FRIENDS)


def talks(replies: int = 0, conversations: int = 0, turns: int = 4) -> list[Talk]:
    return plan(Asked(replies, conversations, turns, seed=7), IDS)


async def held(folder: Path, what: list[Talk], by: Served, at_once: int = 3) -> list[Sent]:
    await hold_all(what, by, Ledger(folder), at_once, lambda sent: None)
    return sorted(Ledger(folder).sent, key=lambda one: (one.talk, one.turn))


def test_the_messages_are_many_and_all_say_something():
    names, messages = read_messages()
    texts = [one.text for one in messages]
    assert len(set(texts)) == len(texts) > 200
    assert all(text.strip() for text in texts), "the bot answers an empty message with its greeting"
    assert len({one.kind for one in messages}) > 12
    assert max(map(len, texts)) > 350
    assert len(names) > 20


def test_a_seed_decides_everything():
    asked = Asked(replies=2000, conversations=50, turns=10, seed=3)
    found = plan(asked, IDS)
    assert found == plan(asked, IDS)
    assert found != plan(Asked(2000, 50, 10, seed=4), IDS)
    assert sum(one.turns for one in found) == asked.total == 2500
    assert [one.number for one in found] == list(range(len(found)))
    assert len({one.seed for one in found}) == len(found)
    strangers, pairs = ([one for one in found if len(one.speakers) == number] for number in (1, 2))
    assert {message for one in strangers for message in one.messages} == set(read_messages()[1])
    assert all(len(one.messages) == one.turns for one in strangers)
    assert {one.speakers for one in strangers} == {(id_,) for id_ in IDS}
    assert {one.speakers for one in pairs} == set(itertools.permutations(IDS, 2))
    assert len(pairs) == 50


async def test_nothing_bad_is_sent_and_all_of_it_is_found_among_the_candidates(tmp_path):
    by = served(*(line for bad in BAD.values() for line in (bad, good)))
    sent = await held(tmp_path, talks(replies=40, conversations=3), by)
    found = count(sent, (*FRIENDS, Persona.from_speaker("Gunther")))
    assert (found.strangers.texts, found.characters.texts) == (40, 12)
    assert {one.text for one in sent} & set(BAD.values()) == {BAD["another speaker"]}, "who is that, the guard asks"
    assert found.drafts.texts == 52 * 4
    assert {found.drafts.hits[what] for what in BAD} == {17, 18}, "two of twelve lines each"
    assert found.refusals["loop"] == found.drafts.hits["loop"]
    assert found.drafts.hits[ANY] == sum(found.drafts.hits[what] for what in NEVER)
    assert {one.text for one in found.let_through()} == {BAD["another speaker"]}


async def test_what_the_guard_refuses_altogether_is_a_fallback_line(tmp_path):
    sent = await held(tmp_path, talks(replies=12, conversations=1), served(BAD["tag"], BAD["loop"]))
    found = count(sent, FRIENDS)
    assert found.fallbacks == Share(16, 16)
    assert all(one.text in next(who for who in FRIENDS if who.id == one.persona).fallbacks for one in sent)
    assert found.strangers.hits[ANY] == found.characters.hits[ANY] == 0
    assert found.drafts.share(ANY) == Share(64, 64)
    assert found.texts == [], "a fallback line says nothing about variety"


async def test_characters_know_each_other_by_name_and_remember_what_was_said(tmp_path):
    [talk] = talks(conversations=1)
    first, second = (next(one for one in FRIENDS if one.id == id_) for id_ in talk.speakers)
    sent = await held(tmp_path, [talk], served(good))
    assert [one.persona for one in sent] == [second.id, first.id, second.id, first.id]
    assert [one.partner for one in sent] == [first.id, second.id, first.id, second.id]
    said = [talk.messages[0].text, *(one.text for one in sent)]
    names = [first.name, second.name] * 3
    assert [one.scene for one in sent] == [tuple(zip(names, said, strict=False))[:number] for number in (1, 2, 3, 4)]


async def test_a_stranger_who_calls_himself_like_a_character_is_a_guest(tmp_path):
    [*many] = talks(replies=200)
    posers = [one for one in many if one.stranger in CAST]
    sent = await held(tmp_path, posers, served(good))
    assert posers
    assert {one.scene[-1][0] for one in sent} == {"Guest"}


async def test_a_killed_run_goes_on_and_ends_like_one_that_was_not(tmp_path):
    what = talks(replies=30, conversations=3)
    whole = await held(tmp_path / "whole", what, served(repeatable, candidates=1))
    ledger, left = Ledger(tmp_path / "killed"), iter(range(17))

    def until_killed(sent: Sent) -> None:
        if next(left, None) is None:
            raise TalkError("killed")

    with pytest.raises(TalkError, match="killed"):
        await hold_all(what, served(repeatable, candidates=1), ledger, 3, until_killed)
    with (tmp_path / "killed" / "replies.jsonl").open("ab") as file:
        file.write(b'{"talk": 3, "tu')
    kept = Ledger(tmp_path / "killed").sent
    assert 18 <= len(kept) < len(whole)
    again = await held(tmp_path / "killed", what, served(repeatable, candidates=1))
    assert {one.kind for one in whole} == {"reply", "fallback"}
    assert [(one.text, one.scene, one.drafts) for one in again] == [(one.text, one.scene, one.drafts) for one in whole]
    assert [one for one in kept if one not in again] == [], "what was sent stays as it was"


async def test_the_busy_bot_is_asked_again(tmp_path):
    by = served(good, queue_size=1, gate=lambda request: asyncio.sleep(0.05))
    sent = await held(tmp_path, talks(replies=8), by, at_once=2)
    assert len(sent) == 8
    assert count(sent, FRIENDS).busy > 0


async def test_an_engine_that_fails_ends_the_run_in_a_sentence(tmp_path):
    with pytest.raises(TalkError, match="instead of a reply there came"):
        await held(tmp_path, talks(replies=8), served(EngineError("the model failed")))


def test_times_have_a_middle_and_a_high_end():
    assert middle_and_high([3.0, 1.0, 2.0]) == (2.0, 3.0)
    assert math.isnan(middle_and_high([])[0])


def counted(*texts: str, drafts: tuple[Draft, ...] = (), kind: str = "reply") -> Counted:
    sent = [
        Sent(0, turn, "joey", "", "odd", kind, text, "stop", 2.0, {"drawing": 1.5}, (("Sam", "hi"),), drafts)
        for turn, text in enumerate(texts)
    ]
    return count(sent, FRIENDS)


def test_the_report_says_what_was_reached_and_shows_what_was_not():
    fine = (Draft("Well.", "stop", None),)
    clean = markdown(counted("Yes, you", "yes you!", "Well, I have to go now.", drafts=fine), wanted=3, at_once=2)
    assert "| loop | 0 of 3: below 100.00 % | none | 0 of 3: below 100.00 % |" in clean
    assert "| distinct | 2 of 3 |" in clean
    assert "| most frequent: `yes you` | 2 of 3: 66.67 % (20.77 to 93.85) |" in clean
    assert "| three words or fewer | 2 of 3: 66.67 % (20.77 to 93.85) |" in clean
    assert "| seconds a reply takes the machine | 1.00 |" in clean
    assert "missed" not in clean
    bad = counted("Oh | no no no", drafts=(Draft("no no no", "stop", None), Draft("a", "length", "cut off")))
    told = markdown(bad, wanted=3, at_once=2)
    assert told.startswith("NOT ALL OF IT: 2 replies are missing")
    assert told.count("**missed**") == 2
    assert "| refused: cut off | 50.00 % |" in told
    assert "| odd | 1 of 2: 50.00 % (9.45 to 90.55) |" in told
    assert told.count("| loop | joey | 0 | `Oh \\| no no no` |") == 1
    assert "Candidates that the guard let through" in told
    assert "**missed**: at most 1 % are fallback lines" in markdown(counted("Hm", kind="fallback"), wanted=1, at_once=1)


def test_the_figures_for_programs_are_all_there():
    plain = counted("Hey!!!", drafts=(Draft("Hey!!!", "stop", None),)).to_mapping()
    assert plain["found"]["to strangers"] == {ANY: 0, **dict.fromkeys(DETECTORS, 0), "!!!": 1}
    assert plain["texts"] == {"to strangers": 1, "among themselves": 0, "candidates": 1}
    assert plain["candidates"] == {"odd": [0, 1]}
    assert plain["seconds"] == {"reply": (2.0, 2.0), "drawing": (1.5, 1.5)}
    assert set(NEVER) < set(DETECTORS)
    assert Count().share("loop") == Share(0, 0)


def test_a_folder_holds_one_measurement(tmp_path):
    same_as_before(tmp_path / "new", {"seed": 1})
    same_as_before(tmp_path / "new", {"seed": 1})
    with pytest.raises(SystemExit, match="give another --out"):
        same_as_before(tmp_path / "new", {"seed": 2})


async def test_the_house_is_the_one_that_the_bot_lives_in(tmp_path):
    given, asked = argparse.Namespace(model=None, at_once=2), Asked(replies=6, conversations=1, turns=2)
    ledger, engine = Ledger(tmp_path), ScriptedEngine([good, BAD["tag"]], abilities=Abilities(candidates=2))
    await talk(given, asked, FRIENDS, ledger, engine)
    assert [one.kind for one in ledger.sent] == ["reply"] * 8
    assert {draft.refusal for one in ledger.sent for draft in one.drafts} == {None, "tag"}
    await talk(given, asked, FRIENDS, ledger, ScriptedEngine([EngineError("nothing is left to say")]))


def test_the_command_reports_on_what_is_there(tmp_path, monkeypatch, capsys):
    words = ["bench.sent", "--replies", "0", "--conversations", "0", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", words)
    main()
    assert "0 replies sent" in capsys.readouterr().out
    assert {one.name for one in tmp_path.iterdir()} == {"asked.json", "replies.jsonl", "sent.json", "sent.md"}
    monkeypatch.setattr("sys.argv", [*words, "--seed", "1"])
    with pytest.raises(SystemExit, match="give another --out"):
        main()


def test_progress_is_told_now_and_then(capsys):
    progress = Progress(total=10, said=4, every=3)
    for _ in range(3):
        progress(None)
    assert capsys.readouterr().out.startswith("6 of 10 replies, 0.00 s each")
