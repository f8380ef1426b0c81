"""The hash set of what a checkpoint was trained on, for one that is being made or one that lacks it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from persona.card import Card, read_card
from persona.copied import CopiedLines
from persona.dialogue import Scene
from training.corpus import Corpus, CorpusError
from training.held_out import choose_held_out
from training.materials import some_scenes


def copied_lines(trained: Iterable[Iterable[Scene]]) -> CopiedLines:
    """Make the hash set of the training scenes of each corpus: of everybody's lines, since a model reads them all."""
    return CopiedLines.of(turn.text for scenes in trained for scene in scenes for turn in scene.turns)


def add_copied_lines(folder: Path, corpora: Sequence[Corpus]) -> CopiedLines:
    """Write the hash set into a checkpoint folder, from the training scenes that its card names.

    `corpora` must hold every corpus that the card names, found by checksum. Raises CardError,
    CorpusError and OSError.
    """
    card = read_card(folder)
    copied = copied_lines(trained_scenes(card, corpora))
    copied.write(folder)
    return copied


def trained_scenes(card: Card, corpora: Sequence[Corpus]) -> list[tuple[Scene, ...]]:
    """Return the training scenes of each corpus that a card names, the show's first; raises CorpusError."""
    if not card.data:
        raise CorpusError("the checkpoint's card does not say what it was trained on")
    trained = [_training_side(_found(entry, corpora), card) for entry in card.data]
    share, seed = float(card.training.get("train_share", 1.0)), int(card.training.get("seed", 0))
    return [some_scenes(trained[0], share, seed), *trained[1:]]


def _found(entry: Mapping[str, Any], corpora: Sequence[Corpus]) -> Corpus:
    found = next((one for one in corpora if one.sha256 == entry.get("sha256")), None)
    if found is None:
        raise CorpusError(
            f"the checkpoint was trained on the corpus {entry.get('name', 'without a name')} with the checksum "
            f"{str(entry.get('sha256', ''))[:12]}, which is not among those given"
        )
    return found


def _training_side(corpus: Corpus, card: Card) -> tuple[Scene, ...]:
    sides = [choose_held_out(corpus, side, [card]).scenes for side in ("validation", "test")]
    held_out = {scene.episode for scenes in sides for scene in scenes}
    return tuple(one for one in choose_held_out(corpus, "all", [card]).scenes if one.episode not in held_out)
