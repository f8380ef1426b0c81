"""The judge of who speaks: a classifier of its own, which never sees what the ranking sees. scikit-learn's only module.

Character and word n-grams, which tell authors apart (Stamatatos 2009, "A Survey of Modern Authorship
Attribution Methods"), and a logistic regression that takes every name to be as likely as another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.pipeline import FeatureUnion, Pipeline  # type: ignore[import-untyped]
from torch import Tensor

from persona.dialogue import Scene
from persona.lines import teaches

# Of 0.1, 0.3, 1 and 3 the one that finds most speakers in held-out episodes, one by one and in pools.
_INVERSE_PENALTY = 0.3
_CHARACTER_GRAMS, _WORD_GRAMS = 100_000, 50_000
_ROUNDS = 1000
_EVERY_WORD = r"\w+"  # scikit-learn's own pattern leaves words of one letter out, "I" above all


class JudgeError(ValueError):
    """Lines that no judge can be trained on, in one sentence."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Says who speaks, of `names`."""

    names: tuple[str, ...]
    _classifier: Any

    def log_probabilities(self, texts: Sequence[str]) -> Tensor:
        """Return the natural logarithm of each name's probability, every name as likely before: (texts, names).

        A name that had no line to learn from has -inf.
        """
        found = torch.full((len(texts), len(self.names)), -torch.inf, dtype=torch.float64)
        if texts:
            found[:, self._classifier.classes_] = torch.from_numpy(self._classifier.predict_log_proba(texts))
        return found


def train_judge(scenes: Sequence[Scene], names: Sequence[str]) -> Judge:
    """Train a judge on the lines of `names` in `scenes`; the same ones give the same judge. Raises JudgeError."""
    lines = [turn for scene in scenes for turn in scene.turns if teaches(turn, names)]
    if len({line.name for line in lines}) < 2:
        raise JudgeError("a judge of who speaks needs lines of two characters at least")
    classifier = _untrained()
    try:
        classifier.fit([line.text for line in lines], [names.index(line.name) for line in lines])
    except ValueError as error:
        raise JudgeError(
            f"a judge of who speaks cannot learn from {len(lines)} lines with no word in common"
        ) from error
    return Judge(tuple(names), classifier)


def _untrained() -> Pipeline:
    kept: dict[str, Any] = {"sublinear_tf": True, "min_df": 2}
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), max_features=_CHARACTER_GRAMS, **kept)
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_EVERY_WORD, max_features=_WORD_GRAMS, **kept)
    return Pipeline(
        [
            ("grams", FeatureUnion([("characters", characters), ("words", words)])),
            ("who", LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=_ROUNDS)),
        ]
    )
