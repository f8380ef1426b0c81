"""Replies of one length for everybody: the engine is given a checkpoint in which no token ends a turn.

Servers call it `ignore_eos`. What the model says behind its end of turn is noise, but costs what any
token costs, and no side is paid for a model that happens to be brief.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot.engine.checkpoints import LoadedCheckpoint
from persona.screenplay import Screenplay, TextTokenizer


def unending(checkpoint: LoadedCheckpoint) -> LoadedCheckpoint:
    """Return the checkpoint with a screenplay whose replies run to their full length.

    Prompts, and replies to be scored, stay what they were. Ends the program where the tokenizer has no
    control token to spare, which stands in for the end and is never drawn.
    """
    told = checkpoint.screenplay
    return replace(checkpoint, screenplay=_Unending(told.format, _Tokenizer(told.tokenizer)))


class _Controls(dict[str, int]):
    """Control tokens by their text; asked for all ids at once, it gives the spare one's alone."""

    spare: int

    def values(self) -> list[int]:  # type: ignore[override]
        return [self.spare]


class _Tokenizer:
    """A tokenizer whose control tokens can all be looked up, of which one alone ends a reply."""

    def __init__(self, inner: TextTokenizer) -> None:
        self._inner = inner
        self.controls = _Controls(inner.controls)
        self.eos = inner.eos

    def encode(self, text: str) -> list[int]:
        return self._inner.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return self._inner.decode(ids)


@dataclass(frozen=True)
class _Unending(Screenplay):
    """A screenplay that writes the end of a turn, and tells those who wait for it another token."""

    written_end: int = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        controls = dict(self.tokenizer.controls)
        spare = [number for number in sorted(dict.values(controls)) if number != self.end_id]
        spare = [number for number in spare if number != controls.get(self.format.open)]
        if not spare:
            raise SystemExit("this base has no control token to spare, so its replies cannot be made equally long")
        object.__setattr__(self, "written_end", self.end_id)
        object.__setattr__(self, "end_id", spare[-1])
        self.tokenizer.controls.spare = spare[-1]  # type: ignore[attr-defined]

    def said(self, text: str) -> list[int]:
        return [*self._words(text), self.written_end]
