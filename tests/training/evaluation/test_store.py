"""What tells one evaluation from another: a reply that could be another one is computed anew."""

from dataclasses import replace
from pathlib import Path

from bot.engine.chooser import ChooserOptions
from bot.engine.protocol import Sampling
from persona.card import read_card
from training.evaluation.store import base_id, model_id, served_as

SHIPPED = Path(__file__).parents[3] / "models" / "friends"


def test_whatever_changes_a_reply_makes_another_evaluation() -> None:
    card, served = read_card(SHIPPED), served_as(ChooserOptions(), "slurs")
    joey, *others = card.characters
    told = replace(card, characters=(replace(joey, untrue=(*joey.untrue, "I'm a sailor")), *others))
    ways = [
        served,
        served_as(ChooserOptions(), "strict"),
        served_as(ChooserOptions(candidates=2), "slurs"),
        served_as(ChooserOptions(sampling=Sampling(0.3, 0.95, 0.05)), "slurs"),
    ]
    ids = {
        *(model_id(SHIPPED, card, way) for way in ways),
        *(base_id(card, way) for way in ways),
        model_id(SHIPPED, told, served),
        model_id(SHIPPED, replace(card, ranking={"likelihood": 1.0}), served),
    }
    assert len(ids) == 2 * len(ways) + 2
    assert model_id(SHIPPED, read_card(SHIPPED), served) in ids
