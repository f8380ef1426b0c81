"""Who is taught: the characters of a run, and whose lines are learned."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from persona.characters import Persona, find_persona, friends, read_personas
from persona.lines import teaches
from training.corpus import Corpus, CorpusError
from training.split import Split

ALL, EVERYBODY = "all", "everybody"
_MOST_CHARACTERS = 6


def choose_personas(wanted: str, corpus: Corpus) -> tuple[Persona, ...]:
    """Return who is taught: all friends in the corpus, one character, or those of a TOML file.

    A name that nobody wrote an entry for is taken as a speaker's of the corpus. Where "everybody"
    is learned from, the six who say most are the characters that can be talked to.
    """
    speakers = corpus.speakers()
    if wanted == ALL:
        chosen: Sequence[Persona] = [one for one in friends() if one.name in speakers]
    elif wanted == EVERYBODY:
        lines = Counter(turn.name for scene in corpus.scenes for turn in scene.turns)
        chosen = [Persona.from_speaker(name) for name, _ in lines.most_common(_MOST_CHARACTERS)]
    elif wanted.endswith(".toml"):
        chosen = read_personas(Path(wanted))
    elif wanted in speakers:
        chosen = [next((one for one in friends() if one.name == wanted), Persona.from_speaker(wanted))]
    else:
        chosen = [find_persona(wanted, friends())]
    missing = [one.name for one in chosen if one.name not in speakers]
    if missing or not chosen:
        raise CorpusError(
            f"nobody called {missing[0] if missing else 'like a friend'} speaks in the corpus {corpus.name}"
        )
    return tuple(chosen)


def taught_names(wanted: str, personas: Sequence[Persona]) -> set[str] | None:
    """Return whose lines of the show are learned, None for everybody's."""
    return None if wanted == EVERYBODY else {one.name for one in personas}


def check_everybody_speaks(names: set[str] | None, split: Split) -> None:
    """Refuse, before anything is written, a split in which one side has nothing to learn or measure."""
    for scenes, side in ((split.train, "training"), (split.validation, "held-out")):
        turns = (turn for scene in scenes for turn in scene.turns)
        if not any(teaches(turn, (turn.name,) if names is None else names) for turn in turns):
            raise CorpusError(
                f"the characters to be taught say nothing in the {side} episodes; the corpus is too small"
            )
