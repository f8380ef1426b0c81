import pytest

from bot.platforms.plaintext import unclickable, without


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("ask @chandler_b", "ask @\u2060chandler_b"),
        ("mail joey@tribbiani.tv", "mail joey@\u2060tribbiani.tv"),
        ("/start with /help@SomeBot.", "/\u2060start with /\u2060help@\u2060SomeBot."),
        ("(/reset)", "(/\u2060reset)"),
        ("#pivot", "#\u2060pivot"),
        ("t.me/joey or T.ME/joey", "t.\u2060me/joey or T.\u2060ME/joey"),
    ],
)
def test_what_telegram_would_make_clickable_is_broken(said: str, sent: str) -> None:
    assert unclickable(said) == sent
    assert unclickable(sent) == sent


@pytest.mark.parametrize("said", ["and/or", "1/2", "me @ home", "a / b", "How you doin'?", "it.me", "# 1"])
def test_plain_words_stay_as_they_are(said: str) -> None:
    assert unclickable(said) == said


@pytest.mark.parametrize(
    ("text", "spans", "left"),
    [
        ("@us how are you?", [(0, 3)], "how are you?"),
        ("@us, how are you?", [(0, 3)], "how are you?"),
        ("how are you, @us?", [(13, 3)], "how are you?"),
        ("hey @us how are you @us", [(4, 3), (20, 3)], "hey how are you"),
        ("😀 hi @us", [(6, 3)], "😀 hi"),
        ("👨‍👩‍👧 @us, hi", [(9, 3)], "👨‍👩‍👧, hi"),
        ("hi, @us", [(4, 3)], "hi"),
        ("@us", [(0, 3)], ""),
        ("nobody", [], "nobody"),
    ],
)
def test_spans_are_cut_by_utf_16_units(text: str, spans: list[tuple[int, int]], left: str) -> None:
    assert without(text, spans) == left
