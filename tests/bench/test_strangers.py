"""Blind judging: the sheet tells nobody's origin, verdicts are checked, and figures move with what is judged."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.serve.toy import toy_checkpoint
from bench.strangers import sheet
from bench.strangers.__main__ import NAMES, main
from bench.strangers.pages import figures, replies
from bench.strangers.sheet import Dealt, Reply, Row, deal, read
from bench.strangers.tally import tally
from bench.strangers.verdicts import Judged, Verdict, fleiss_kappa
from persona.characters import friends
from training.evaluation.pieces import Draft, Generated, Ledger
from training.evaluation.strangers import Prompt, read_prompts
from training.judged import read_judged

PROMPTS = read_prompts()
SIX = [one.name for one in friends()]


def write_pieces(file: Path, origin: str, rounds: int = 3, fallbacks: int = 0) -> Path:
    """Write an evaluation's replies to a stranger, and one to a scene; the first few are fallback lines."""
    ledger = Ledger(file)
    ledger.add(Generated("scene", 0, "Not for the sheet.", "stop", False, ()))
    for number in reversed(range(rounds * len(PROMPTS))):
        fallback = number < fallbacks
        text = "" if fallback else f"{origin} says *{number}* | no."
        ledger.add(Generated("stranger", number, text, "stop", fallback, ()))
    return file


@pytest.fixture
def pieces(tmp_path: Path) -> list[Path]:
    fallbacks = {"apple": 0, "plum": 2, "pear": 5}
    return [write_pieces(tmp_path / f"{one}.jsonl", one, fallbacks=count) for one, count in fallbacks.items()]


@pytest.fixture
def out(tmp_path: Path, pieces: list[Path]) -> Path:
    main(["sheet", "--replies", *map(str, pieces), "--out", str(tmp_path / "out"), "--part", "100"])
    return tmp_path / "out"


Judge = Callable[[dict], tuple[bool, bool]]


def judged(out: Path, *judges: Judge) -> list[str]:
    """Let readers judge the sheet; return the words that name their verdicts."""
    files = []
    for number, judge in enumerate(judges):
        files.append(out.parent / f"reader-{number}.jsonl")
        rows = [json.loads(line) for line in (out / "sheet.jsonl").read_text().splitlines()]
        said = [dict(zip(("sensible", "in_character"), judge(row), strict=True)) | {"id": row["id"]} for row in rows]
        files[-1].write_text("".join(json.dumps(one) + "\n" for one in reversed(said)))
    return ["tally", "--out", str(out), "--verdicts", *map(str, files)]


def likes(*origins: str, in_character: bool = True) -> Judge:
    return lambda row: (row["reply"].split()[0] in origins, in_character)


def test_a_sheet_shows_prompt_character_and_reply_alone(out: Path) -> None:
    rows = [json.loads(line) for line in (out / "sheet.jsonl").read_text().splitlines()]
    assert len(rows) == 9 * len(PROMPTS) - 7, "fallback lines are shown to nobody"
    assert {tuple(row) for row in rows} == {("id", "prompt", "character", "reply")}
    assert [row["id"] for row in rows] == [f"{at:03}" for at in range(1, len(rows) + 1)]
    for row in rows:
        number = int(re.search(r"\*(\d+)\*", row["reply"])[1]) % len(PROMPTS)
        assert (row["prompt"], row["character"]) == (PROMPTS[number].text, SIX[number % 6])
    order = "".join(row["reply"][1] for row in rows)
    assert max(map(len, re.findall(r"p+|l+|e+", order))) < 12, "they are shuffled"
    parts = sorted((out / "parts").iterdir())
    assert [len(part.read_text().splitlines()) for part in parts] == [100] * 5 + [33]
    assert "".join(part.read_text() for part in parts) == (out / "sheet.jsonl").read_text()


def test_the_key_says_whose_each_is(out: Path) -> None:
    key = json.loads((out / "key.json").read_text())
    assert key["origins"] == list(NAMES)
    fruits = dict(zip(NAMES, ("apple", "plum", "pear"), strict=True))
    rows = {row.id: row.reply for row in read(out).rows}
    shown = [one for one in key["replies"] if one["id"]]
    assert all(rows[one["id"]] == f"{fruits[one['origin']]} says *{one['number']}* | no." for one in shown)
    assert len(key["replies"]) == 9 * len(PROMPTS)


def test_the_instructions_hold_the_rubric_and_a_verdict_that_is_taken(out: Path) -> None:
    text = (out / "instructions.md").read_text()
    assert "Sensible: it answers what was said" in text
    assert not any(name in text for name in NAMES)
    example = json.loads(re.search(r"^\{.*\}$", text, re.MULTILINE)[0])
    assert example == {"id": "001", "sensible": True, "in_character": False}


def test_a_seed_decides_the_order(pieces: list[Path]) -> None:
    files = dict(zip(NAMES, pieces, strict=True))
    assert deal(files, 1) == deal(files, 1)
    assert deal(files, 1).rows != deal(files, 2).rows


def test_a_reply_counts_where_two_say_both() -> None:
    yes, odd, machine = Verdict(True, True), Verdict(True, False), Verdict(False, True)
    for verdicts, counts in (((yes, yes, machine), True), ((yes, odd, machine), False), ((), False)):
        assert Judged(verdicts).counts is counts
    split = Judged((yes, odd, machine))
    assert (split.sensible, split.in_character) == (True, True), "each alone by other readers, and both by one only"
    assert not Judged((odd, odd, machine)).in_character


def counted(out: Path, *judges: Judge) -> str:
    words = judged(out, *judges)
    main([*words, "--markdown", str(out / "page.md")])
    return (out / "page.md").read_text()


def rows_of(page: str) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in page.splitlines() if "|" in line]
    found: dict[str, list[str]] = {}
    for head, *rest in cells:
        found.setdefault(head, rest)
    return found


def test_the_tally_counts_by_origin_and_kind(out: Path, capsys: pytest.CaptureFixture) -> None:
    page = counted(out, likes("apple"), likes("apple", "pear"), likes("plum", "pear", "apple"))
    rows, total = rows_of(page), 3 * len(PROMPTS)
    ours, base, copied = (rows[name] for name in NAMES)
    assert ours[0] == f"{total} of {total}"
    assert ours[1].startswith("100.0 % (97.")
    assert base[0] == f"0 of {total}"
    assert base[1:3] == ["0.0 % (0.0 to 1.7)", "0.00 (0.00 to 0.00)"]
    assert copied[0] == f"{total - 5} of {total}"
    assert ours[2].startswith(f"{total / (total - 5):.2f} (1.0")
    assert [one[-1] for one in (ours, base, copied)] == ["0", "2", "5"]
    assert rows["greetings"] == ["18 of 18", "0 of 18", "13 of 18"]
    assert rows["are you a bot"][0] == "15 of 15"
    assert page.startswith(capsys.readouterr().out.rstrip("\n"))


def test_sensible_and_in_character_are_told_apart(out: Path) -> None:
    strict = likes("apple", in_character=False)
    rows = rows_of(counted(out, strict, strict, likes("apple")))
    assert rows[NAMES[0]][0] == f"0 of {3 * len(PROMPTS)}"
    assert rows[NAMES[0]][3:5] == [str(3 * len(PROMPTS)), "0"]
    assert rows[NAMES[0]][2] == "–", "nothing of the last one's counts, so there is no ratio"


def test_shuffled_verdicts_tell_no_origin_from_another(out: Path) -> None:
    def by_id(row: dict) -> tuple[bool, bool]:
        return int(row["id"]) * 7919 % 100 < 60, True

    rows = rows_of(counted(out, by_id, by_id, by_id))
    shares = [float(rows[name][1].split()[0]) for name in NAMES]
    assert all(50 < one < 70 for one in shares)
    low, high = map(float, re.search(r"\((.*) to (.*)\)", rows[NAMES[0]][2]).groups())
    assert low < 1 < high


def test_every_reply_is_printed_and_nothing_in_it_is_markdown(out: Path) -> None:
    page = counted(out, likes("apple"), likes("apple", "pear"), likes("apple"))
    for number in range(3 * len(PROMPTS)):
        assert rf"apple says \*{number}\* \| no." in page
    assert page.count("*a fallback line*") == 7
    assert r"| the model that ships | apple says \*0\* \| no. | +++ | +++ | ✓ |" in page
    assert r"| the copied recipe | pear says \*9\* \| no. | −+− | +++ |  |" in page
    assert "**1. greetings, to Joey Tribbiani:** Hi, I'm Nadia." in page


def test_readers_who_agree_have_a_kappa_of_one(out: Path) -> None:
    files = [likes("apple")] * 3
    assert "both 1.00, sensible 1.00, in character –" in counted(out, *files)
    page = counted(out, likes("apple"), likes("plum", "pear"), likes("apple"))
    assert float(re.search(r"sensible (-?[\d.]+)", page)[1]) < 0


def test_kappa_is_the_one_in_the_books() -> None:
    counts = [  # Fleiss 1971's method on the example that is usually given: ten subjects, fourteen raters
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa([]) is None
    assert fleiss_kappa([(3, 0)]) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[1:], r"lacks 1 of 533 replies: \d+$"),
        (lambda lines: lines[9:], r"lacks 9 of 533 replies: (\d+, ){5}\.\.\.$"),
        (lambda lines: [*lines, lines[0]], r"line 534: the reply '\d+' was judged before"),
        (lambda lines: [lines[0].replace('"id": "', '"id": "x'), *lines[1:]], r"line 1: there is no reply 'x\d+' on"),
        (lambda lines: [lines[0].replace("true", "1"), *lines[1:]], 'line 1: "in_character" must be true or false'),
        (lambda lines: ["yes", *lines[1:]], "line 1 is not JSON"),
        (lambda lines: ["[]", *lines[1:]], 'line 1 must be an object with the text field "id"'),
    ],
)
def test_verdicts_that_are_not_one_for_every_reply_are_refused(out: Path, change: Callable, said: str) -> None:
    words = judged(out, likes(), likes(), likes())
    file = Path(words[-2])
    file.write_text("".join(f"{line}\n" for line in change(file.read_text().splitlines())))
    with pytest.raises(SystemExit, match=rf"{file}.*{said}"):
        main(words)


def test_three_readers_are_three(out: Path) -> None:
    *words, last = judged(out, likes(), likes(), likes())
    with pytest.raises(SystemExit, match="give the verdicts of 3 readers, each in a file of its own"):
        main([*words, words[-1]])
    with pytest.raises(SystemExit, match="cannot read the verdicts"):
        main([*words, f"{last}.not"])


def test_what_cannot_be_dealt_is_a_sentence(tmp_path: Path, pieces: list[Path]) -> None:
    short = write_pieces(tmp_path / "short.jsonl", "fig", rounds=2)
    silent = write_pieces(tmp_path / "silent.jsonl", "fig", rounds=1, fallbacks=len(PROMPTS))
    (tmp_path / "empty.jsonl").write_text("")
    ask = ["sheet", "--out", str(tmp_path / "out"), "--replies"]
    cases = {
        r"short.jsonl has 120 of 180 replies to a stranger": [*map(str, pieces[:2]), str(short)],
        r"there is no file .*nowhere.jsonl": [*map(str, pieces[:2]), str(tmp_path / "nowhere.jsonl")],
        r"empty.jsonl holds no reply to a stranger": [*map(str, pieces[:2]), str(tmp_path / "empty.jsonl")],
        "give as many different --names as --replies: 2": [*map(str, pieces[:2])],
        "all replies are fallback lines": [str(silent), "--names", "fig"],
        "--part must be at least 1": [*map(str, pieces), "--part", "0"],
    }
    for said, words in cases.items():
        with pytest.raises(SystemExit, match=said):
            main([*ask, *words])
    assert not (tmp_path / "out").exists()


def test_a_sheet_is_not_dealt_over_one_that_may_have_been_judged(out: Path, pieces: list[Path]) -> None:
    with pytest.raises(SystemExit, match="holds a sheet already"):
        main(["sheet", "--replies", *map(str, pieces), "--out", str(out)])


def test_a_sheet_without_its_own_key_is_not_counted(out: Path) -> None:
    words = judged(out, likes(), likes(), likes())
    lines = (out / "sheet.jsonl").read_text().splitlines(keepends=True)
    (out / "sheet.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(SystemExit, match="is that of another sheet"):
        main(words)
    (out / "sheet.jsonl").write_text("{")
    with pytest.raises(SystemExit, match=r"is damaged \(JSONDecodeError\)"):
        main(words)
    (out / "key.json").unlink()
    with pytest.raises(SystemExit, match="damaged"):
        main(words)
    (out / "sheet.jsonl").write_text("".join(lines))
    with pytest.raises(SystemExit, match=r"has no key\.json: deal a sheet into it first"):
        main(words)


def test_a_sample_of_one_round_is_judged_too(tmp_path: Path) -> None:
    files = {name: write_pieces(tmp_path / f"{name}.jsonl", name, rounds=1) for name in ("a", "b")}
    dealt: Dealt = deal(files, 0)
    found = tally(dealt, {row.id: Judged((Verdict(True, True),) * 3) for row in dealt.rows})
    assert found.count("a") == (len(PROMPTS), len(PROMPTS))
    assert "1.00 (1.00 to 1.00)" in figures(found)
    assert replies(found).count("✓ |") == 2 * len(PROMPTS)


def test_prompts_of_another_file_are_dealt_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = tmp_path / "more.toml"
    prompts.write_text('small_talk = ["Nice hat."]\nsoup = ["Any soup?", "Is it hot?"]\n', encoding="utf-8")
    files = []
    for origin in ("apple", "pear"):
        files.append(tmp_path / f"{origin}.jsonl")
        ledger = Ledger(files[-1])
        for number in range(6):
            ledger.add(Generated("stranger", number, f"{origin} says *{number}* | no.", "stop", False, ()))
    out = tmp_path / "more"
    given = ["sheet", "--replies", *map(str, files), "--names", "apple", "pear", "--out", str(out)]
    main([*given, "--prompts", str(prompts)])
    rows = [json.loads(line) for line in (out / "sheet.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    assert {(row["prompt"], row["character"]) for row in rows} == {
        ("Nice hat.", SIX[0]), ("Any soup?", SIX[1]), ("Is it hot?", SIX[2]),
    }  # fmt: skip
    capsys.readouterr()
    main([*judged(out, likes("apple"), likes("apple"), likes("pear")), "--markdown", str(tmp_path / "all.md")])
    assert "| small talk | 2 of 2 | 0 of 2 |" in capsys.readouterr().out
    assert "**2. soup, to Chandler Bing:** Any soup?" in (tmp_path / "all.md").read_text()


def test_one_origin_is_compared_with_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_pieces(tmp_path / "alone.jsonl", "alone")
    main(["sheet", "--replies", str(file), "--names", "alone", "--out", str(tmp_path / "alone")])
    capsys.readouterr()
    main(judged(tmp_path / "alone", likes("alone"), likes("alone"), likes("pear")))
    assert "|  | counts | share | sensible | in character | fallback lines |" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "soup = 3", "soup =", "soup = [3]"])
def test_a_file_without_prompts_is_refused(tmp_path: Path, pieces: list[Path], text: str) -> None:
    (tmp_path / "none.toml").write_text(text, encoding="utf-8")
    given = ["sheet", "--replies", *map(str, pieces), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=r"none\.toml (is no list of prompts|has no prompts)"):
        main([*given, "--prompts", str(tmp_path / "none.toml")])


def test_prompts_are_answered_as_the_bot_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "some.toml").write_text('soup = ["Any soup?", "Is it hot?"]\n', encoding="utf-8")
    out = tmp_path / "answers.jsonl"
    given = [
        "answer",
        "--model",
        str(toy_checkpoint(tmp_path)),
        "--prompts",
        str(tmp_path / "some.toml"),
        "--out",
        str(out),
    ]
    main(given)
    said = Ledger(out).replies
    assert set(said) == {("stranger", 0), ("stranger", 1)}
    assert all(one.drafts for one in said.values())
    before = out.read_bytes()
    main(given)
    assert out.read_bytes() == before, "what is there is kept"


CHATS = "soup = [{}]\n".format(", ".join(f'["Soup {at}?", "Why?", "Bye."]' for at in range(6)))


def test_chats_go_on_whatever_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "chats.toml").write_text(CHATS, encoding="utf-8")
    out, chats = tmp_path / "held.jsonl", ["--chats", str(tmp_path / "chats.toml")]
    main(["answer", "--model", str(toy_checkpoint(tmp_path)), *chats, "--out", str(out)])
    assert {number for _, number in Ledger(out).replies} == set(range(18))


def test_replies_in_chats_are_judged_behind_all_that_was_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chats.toml").write_text(CHATS, encoding="utf-8")
    ledger, silent = Ledger(tmp_path / "held.jsonl"), (2, 7)
    said = {number: "" if number in silent else f"Reply {number}." for number in range(18)}
    for number, text in said.items():
        ledger.add(Generated("stranger", number, text, "stop", not text, ()))
    chats = ["--chats", str(tmp_path / "chats.toml")]
    main(["sheet", "--replies", str(tmp_path / "held.jsonl"), "--names", "one", *chats, "--out", str(tmp_path / "out")])
    dealt = read(tmp_path / "out")
    rows = {row.id: row for row in dealt.rows}
    shown = {one.number: rows[one.id] for one in dealt.replies if one.id}
    assert set(shown) == set(range(18)) - set(silent)
    assert all((row.character, row.reply) == (SIX[number % 6], said[number]) for number, row in shown.items())
    assert shown[14].prompt == f"Stranger: Soup 2?\nStranger: Why?\n{SIX[2]}: Reply 8.\nStranger: Bye."
    assert shown[13].prompt == f"Stranger: Soup 1?\n{SIX[1]}: Reply 1.\nStranger: Why?\nStranger: Bye."
    assert shown[6].prompt == f"Stranger: Soup 0?\n{SIX[0]}: Reply 0.\nStranger: Why?"
    main(judged(tmp_path / "out", *[lambda row: ("Bye." not in row["prompt"], True)] * 3))
    table = rows_of(capsys.readouterr().out)
    assert [table[f"message {turn}"] for turn in (1, 2, 3)] == [["5 of 6"], ["5 of 6"], ["0 of 6"]]


LETTERS = 'a = ["Hi!", "Ho!", "Hu!", "He!", "Ha!", "Hm!"]'


@pytest.mark.parametrize(
    "text", ['a = [["Hi."]]', LETTERS, 'a = [["Hi.", "Ho."]]', "a = [", 'a = [["", "a"]]', "", "a = 3", "a = [[3, 4]]"]
)
def test_a_file_of_no_chats_is_refused(tmp_path: Path, pieces: list[Path], text: str) -> None:
    (tmp_path / "chats.toml").write_text(text, encoding="utf-8")
    chats = ["--chats", str(tmp_path / "chats.toml")]
    with pytest.raises(SystemExit, match=r"chats\.toml (is no list of chats|must have chats)"):
        main(["sheet", "--replies", *map(str, pieces), *chats, "--out", str(tmp_path / "o")])


def test_a_chat_is_held_once(tmp_path: Path) -> None:
    (tmp_path / "chats.toml").write_text(CHATS, encoding="utf-8")
    given = ["answer", "--model", "nowhere", "--chats", str(tmp_path / "chats.toml"), "--rounds", "3"]
    with pytest.raises(SystemExit, match="--rounds is for prompts: each chat is held once"):
        main([*given, "--out", str(tmp_path / "out.jsonl")])


def test_replies_of_one_chat_are_resampled_together() -> None:
    prompts = tuple(Prompt(f"message {turn + 1}", f"{turn} {at}") for turn in range(4) for at in range(6))
    rows = tuple(Row(f"{number:02}", "?", SIX[number % 6], "!") for number in range(24))
    replies = tuple(Reply("one", number, row.id) for number, row in enumerate(rows))
    good = {row.id: Judged((Verdict(number % 6 < 3, True),) * 3) for number, row in enumerate(rows)}
    chats = tally(Dealt(rows, replies, ("one",), 1, prompts, chats=6), good).share("one")
    alone = tally(Dealt(rows, replies, ("one",), 1, prompts), good).share("one")
    assert chats.value == alone.value == 0.5
    assert chats.high - chats.low > 1.5 * (alone.high - alone.low), "of six chats three are good, four times each"


@pytest.mark.parametrize(
    ("file", "shared"),
    [
        ("unseen.toml", {"are you a bot?", "banana"}),
        ("unseen-2.toml", {"have you ever been in love?"}),
        ("unseen-3.toml", set()),
        ("unseen-4.toml", set()),
        ("unseen-5.toml", set()),
    ],
)
def test_the_unseen_prompts_are_others_than_those_of_an_evaluation(file: str, shared: set[str]) -> None:
    unseen = read_prompts(Path(str(sheet.__file__)).parent / file)
    assert len(unseen) == 60
    both = {one.text.casefold() for one in unseen} & {one.text.casefold() for one in PROMPTS}
    assert both == shared, "what two people thought of"


def test_candidates_of_all_files_are_judged_once_and_go_to_tune(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = {"a": ["Hi.", "No.", "@everyone"], "b": ["No.", "A  hat."]}
    for name, texts in drawn.items():
        ledger = Ledger(tmp_path / f"{name}.jsonl")
        for number in range(len(PROMPTS)):
            drafts = tuple(Draft(one, "stop", "ping" if "@" in one else None) for one in texts)
            ledger.add(Generated("stranger", number, texts[0], "stop", False, drafts))
    out, file = tmp_path / "drawn", tmp_path / "judged.jsonl"
    asked = ["candidates", "--replies", str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"), "--out", str(out)]
    main(asked)
    assert f"{3 * len(PROMPTS)} candidates" in capsys.readouterr().out
    rows = [json.loads(line) for line in (out / "sheet.jsonl").read_text().splitlines()]
    assert [row["reply"] for row in rows[:3]] == ["Hi.", "No.", "A hat."]
    with pytest.raises(SystemExit, match="holds a sheet already"):
        main(asked)
    said = [{"id": row["id"], "sensible": True, "in_character": row["reply"] == "A hat."} for row in rows]
    verdicts = tmp_path / "verdicts.jsonl"
    verdicts.write_text("".join(json.dumps(one) + "\n" for one in said))
    main(["judged", "--out", str(out), "--verdicts", str(verdicts), "--file", str(file)])
    first = read_judged(file, friends())[0]
    assert (first.said, first.persona.id, first.good, first.bad) == (
        (PROMPTS[0].text,),
        "joey",
        ("A hat.",),
        ("Hi.", "No."),
    )
