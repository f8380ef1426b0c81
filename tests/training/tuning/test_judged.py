"""What readers wanted to be sent comes first, and nothing else is learned from them."""

import torch

from persona.characters import find_persona, friends
from persona.harmless import GUEST
from persona.ranking import PARTS, Evidence
from training.judged import Judged
from training.tuning.ablation import ALL, ablation
from training.tuning.judged import JudgedReplies, context_of, judged_replies
from training.tuning.reading import Read

JOEY, MONICA = (find_persona(name, friends()) for name in ("joey", "monica"))
NOISE = torch.Generator().manual_seed(5)


def test_a_context_asks_about_the_good_ones_first() -> None:
    context = context_of(Judged(("lunch?",), JOEY, ("A sandwich.", "Two."), ("Table.",)))
    assert context.replies == ("A sandwich.", "Two.", "Table.")
    [turn] = context.conversation.turns
    assert (turn.name, turn.text, context.persona) == (GUEST, "lunch?", JOEY)


def test_each_good_reply_is_told_from_all_bad_ones() -> None:
    plain = dict.fromkeys(PARTS, 0.0)
    judged = Judged(("lunch?",), JOEY, ("A sandwich.", "Two."), ("Table.", "Chair."))
    read = Read(context_of(judged), tuple(Evidence(1, -float(number)) for number in range(4)))
    choices = judged_replies(judged, read, plain)
    assert [one[:, 0].tolist() for one in choices.taught()] == [[1.5, -0.5, -1.5], [0.5, -0.5, -1.5]]
    likelier, unlikelier = torch.eye(len(PARTS), dtype=torch.float64)[0], -torch.eye(len(PARTS), dtype=torch.float64)[0]
    assert choices.first(likelier) == {"judged": True}
    assert choices.first(unlikelier) == {"judged": False}


def test_what_readers_go_by_is_found() -> None:
    choices = []
    for number in range(120):
        replies = torch.randn(6, len(PARTS), generator=NOISE, dtype=torch.float64)
        replies[:2, 2] += 2.0
        choices.append(JudgedReplies(f"m{number}", replies, 2))
    rows = {one.name: one for one in ablation(choices)}
    assert rows[ALL].first["judged"].value > 0.85
    assert rows["persona_gain alone"].first["judged"].value > 0.85
    assert rows["likelihood alone"].first["judged"].value < 0.6, "a third by chance"
    assert rows["without persona_gain"].difference.high < -0.2
