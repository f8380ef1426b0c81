"""The bench's own arithmetic: what would be sent, and how much of it is the same."""

import re

import pytest

from bench.choosing.__main__ import median_steps, shown
from bench.choosing.picks import A_TOKEN, ALL, FIRST, PEOPLE, Picks, picks
from bench.choosing.table import markdown
from bot.engine.chooser import Consideration, Considered
from bot.engine.protocol import Candidate
from persona.characters import find_persona, friends
from persona.dialogue import Scene, Turn
from persona.ranking import PARTS, Evidence, Parts, Weights
from training.tuning.ablation import Row, Share
from training.tuning.contexts import Context
from training.tuning.reading import Read
from training.tuning.tune import Tuned

JOEY = find_persona("joey", friends())
CONTEXT = Context("e1", Scene((Turn("Ann", "What did you eat?"),)), JOEY, "Pizza.", ())
DULL = Candidate("Yeah.", -2.0, 2, "stop"), Evidence(2, -2.0, -2.0, (-2.0,), (-2.0,))
ODD = Candidate("Soup.", -9.0, 2, "stop"), Evidence(2, -9.0, -9.5, (-9.0,), (-9.0,))
GOOD = Candidate("A whole pizza.", -8.0, 4, "stop"), Evidence(4, -8.0, -20.0, (-16.0,), (-12.0,))
READS = [Read(CONTEXT, (), (ODD, DULL, GOOD)), Read(CONTEXT, (), (DULL, ODD)), Read(CONTEXT, (), (DULL,))]


def test_each_way_to_rank_picks_for_itself() -> None:
    found = {one.name: one.texts for one in picks(READS, Weights(1, 1, 1, 1))}
    assert found[FIRST] == ("Soup.", "Yeah.")
    assert found[ALL][0] == "A whole pizza."
    assert found["likelihood alone"] == ("Yeah.", "Yeah.")
    assert found["information alone"] == ("A whole pizza.", "Soup.")
    assert {f"without {part}" for part in PARTS} <= found.keys()


def test_a_part_without_weight_is_not_left_out_again() -> None:
    names = [one.name for one in picks(READS, Weights(1, 1, 0, 0))]
    without = ["without likelihood", "without information", "likelihood alone", "information alone"]
    assert names == [PEOPLE, FIRST, ALL, *without, A_TOKEN]


def test_without_regard_to_length_the_short_one_wins() -> None:
    long = Candidate("I had a pizza.", -9.0, 6, "stop"), Evidence(6, -9.0)
    short = Candidate("Yeah.", -2.9, 2, "stop"), Evidence(2, -2.9)
    found = {one.name: one.texts for one in picks([Read(CONTEXT, (), (long, short))], Weights(1, 0, 0, 0))}
    assert found[A_TOKEN] == ("Yeah.",)
    assert found[ALL] == ("I had a pizza.",)
    assert found[PEOPLE] == ("Pizza.",)


def test_sameness_is_counted_in_words() -> None:
    one = Picks("one", ("Oh my God!", "oh my god", "I see a duck", "Yeah."))
    assert one.again() == 0.5
    assert one.words() == pytest.approx(11 / 4)
    assert one.short() == 3 / 4
    assert one.distinct() == pytest.approx(5 / 7)  # oh my, my god: twice each
    assert one.same_as(Picks("two", ("Oh my God!", "oh my god", "no", "no"))) == 0.5
    assert Picks("none", ("Yeah.",)).distinct() == 0


def test_the_tables_have_a_cell_for_every_head() -> None:
    third = Share(1 / 3, 0.25, 0.5)
    rows = tuple(
        Row(name, {"same": third, "drawn": third}, third)
        for name in ("all parts", *(f"without {one}" for one in PARTS))
    )
    tuned = Tuned("show: 2 lines", Weights(), {}, (), rows, {"information": 12.4}, tuple(READS))
    text = markdown(tuned, picks(READS, Weights()), {"drawing": 1.5, "names": 0.25})
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(tables) == 2
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "| 33.3 % (25.0 to 50.0) |" in text
    assert "drawing 1500 ms, names 250 ms; 1750 ms in all" in text


def considered() -> Consideration:
    passed = [Considered(one, None, Parts.of(known), -known.tokens) for one, known in (GOOD, DULL)]
    refused = Considered(ODD[0], "repeat")
    return Consideration((refused, *passed), DULL[0], {"drawing": 2.0, "guard": 0.5})


def test_a_context_is_shown_best_first_with_what_was_refused() -> None:
    lines = shown(READS[0], considered()).splitlines()
    assert [line.rpartition("  ")[2] for line in lines[1:3]] == [
        "Ann: What did you eat?",
        "[Joey Tribbiani truly said] Pizza.",
    ]
    assert [line[2:4] for line in lines[3:]] == ["->", "  ", "  "]
    assert lines[3].endswith("Yeah.")
    assert lines[5].endswith("(repeat) Soup.")


def test_a_step_that_was_not_taken_took_no_time() -> None:
    found = median_steps([considered(), considered()])
    assert found == {"drawing": 2.0, "guard": 0.5, "nowhere": 0.0, "names": 0.0}
