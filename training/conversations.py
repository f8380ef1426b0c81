"""From conversations as they stand in a corpus's files to scenes: their order, and what is said in them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from persona.dialogue import Scene, Turn
from persona.lines import merge_runs, spoken

# Raise it when the same files would give other scenes (here or in persona.lines): caches are keyed by it.
CLEANING = 1
DIRECTIONS = "TRANSCRIPT_NOTE"
SPOKEN_AS = {"#ALL#": "Everybody", "unknown": "Somebody"}
_REMOVED = {"[deleted]", "[removed]"}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as it stands in the files: ConvoKit's utterances in their order.

    `episode` is "" where it names none.
    """

    id: str
    season: str
    episode: str
    utterances: Sequence[Any]


def is_show(conversations: Sequence[Conversation]) -> bool:
    """Tell whether any conversation names its episode."""
    return any(conversation.episode for conversation in conversations)


def scene_of(conversation: Conversation, *, show: bool) -> Scene:
    """Return what is said in a conversation, one speaker's neighbouring lines joined."""
    turns = (
        Turn(SPOKEN_AS.get(str(one.speaker.id), str(one.speaker.id)), said(one.text or "", show=show))
        for one in conversation.utterances
        if one.speaker.id != DIRECTIONS
    )
    return merge_runs(Scene(tuple(turns), conversation.id, conversation.episode or conversation.id))


def said(text: str, *, show: bool) -> str:
    """Cut a show's action notes; anywhere else brackets are what was written (code, smileys)."""
    if show:
        return spoken(text)
    return "" if text.strip() in _REMOVED else " ".join(text.split())


def in_order(utterances: list[Any]) -> list[Any]:
    """Sort by timestamp where every utterance has one, else by id; so a reply comes behind what it answers."""
    by_id = sorted(utterances, key=lambda one: natural(one.id))
    times = {id(one): _seconds(one.timestamp) for one in by_id}
    if any(math.isnan(time) for time in times.values()):
        return by_id
    return sorted(by_id, key=lambda one: times[id(one)])


def _seconds(timestamp: Any) -> float:
    try:
        return float(timestamp)
    except (TypeError, ValueError):
        return math.nan


def natural(key: object) -> list[tuple[int, str]]:
    """Return a key that sorts ids with numbers in them as people do: u9 before u10."""
    parts = re.split(r"(\d+)", str(key))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
