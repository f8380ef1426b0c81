"""A reader's verdict, as the turn behind a reply: a model that learned from judged replies says one when asked.

The model that answers is its own verifier (Cobbe et al. 2021, arXiv:2110.14168, have one beside it): whether readers
would have sent a reply is what it would say next under a name that nobody else has.
"""

import math

from persona.characters import Persona

READER = Persona("verdict", "Verdict")
GOOD, BAD = "good", "bad"
_SUREST = 1e-6


def log_odds(logprob: float) -> float:
    """Return the log-odds of what has this log-probability in nats, none surer than one in a million."""
    chance = min(max(math.exp(logprob), _SUREST), 1 - _SUREST)
    return math.log(chance / (1 - chance))
