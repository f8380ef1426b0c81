r"""THE format: turns become token ids, with a mask of what is learned. Training and bot share it.

Every turn carries its speaker's name. Bases with ChatML's control tokens get
`<|im_start|>{name}\n{text}<|im_end|>\n`, all others (DialoGPT first of all) the EOS-joined
`{name}: {text}<|endoftext|>`. What is learned is decided by position, never by comparing ids with
pad or EOS: the text of the taught characters' turns and the end-of-turn token behind it.

A third format, which `echochamber train` never trains in, is that of other people's DialoGPT chatbots:
`{text}<|endoftext|>`, seven turns and no names. It is served and measured like the others.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from zlib import crc32

from persona.dialogue import Turn
from persona.harmless import harmless, harmless_name

_SPARED = 3  # a third of the room, at most


class FormatError(ValueError):
    """A tokenizer that no screenplay format fits, or an unknown format, in one sentence."""


class TextTokenizer(Protocol):
    """What the screenplay needs of a tokenizer; `bot.engine.checkpoints` adapts transformers'."""

    @property
    def controls(self) -> dict[str, int]:
        """Every control token that the tokenizer would recognise in text, with its id."""
        ...

    @property
    def eos(self) -> str:
        """The literal end-of-sequence token."""
        ...

    def encode(self, text: str) -> list[int]:
        """Tokenize plain text, adding nothing in front of or behind it."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids` without any control token."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a turn. `end` is the end-of-turn control token; `""` stands for EOS.

    A turn is `open` + `{name}{colon}` + `{gap}{text}` + `end` + `after`; the three middle parts
    are tokenized one by one, so that a prompt is always a prefix of what was trained on. Where it is
    not `named`, a turn begins with its text. A prompt holds the last `most_turns`, None for all that fit.
    """

    name: str
    open: str
    colon: str
    gap: str
    end: str
    after: str
    named: bool = True
    most_turns: int | None = None

    def chat_template(self, default_speaker: str, eos: str) -> str:
        """Return the Jinja template that renders the same tokens in any other server.

        It reads each message's `name` and `content` (both already harmless) and, for the turn to
        come, the variable `speaker`.
        """
        if not self.named:
            return self._nameless_template(self.end or eos)
        default = default_speaker.replace("\\", "\\\\").replace("'", "\\'")
        colon, after = (text.replace("\n", "\\n") for text in (self.colon, self.after))
        end = self.end or eos
        return (
            "{%- for message in messages -%}"
            f"{{{{- '{self.open}' + message['name'] + '{colon}{self.gap}' + message['content'] + '{end}{after}' -}}}}"
            "{%- endfor -%}"
            "{%- if add_generation_prompt -%}"
            f"{{{{- '{self.open}' + (speaker if speaker is defined and speaker else '{default}') + '{colon}' -}}}}"
            "{%- endif -%}"
        )

    def _nameless_template(self, end: str) -> str:
        latest = f"messages[-{self.most_turns}:]" if self.most_turns else "messages"
        return (
            f"{{%- for message in ({latest} if add_generation_prompt else messages) -%}}"
            f"{{{{- message['content'] + '{end}' -}}}}"
            "{%- endfor -%}"
            f"{{%- if add_generation_prompt and not messages -%}}{{{{- '{end}' -}}}}{{%- endif -%}}"
        )


CHATML = Format("chatml", open="<|im_start|>", colon="\n", gap="", end="<|im_end|>", after="\n")
EOS_JOINED = Format("eos-joined", open="", colon=":", gap=" ", end="", after="")
# What the recipe trains in that most DialoGPT chatbots come from: a line behind the seven before it.
EOS_NAMELESS = Format("eos-nameless", open="", colon="", gap="", end="", after="", named=False, most_turns=7)
FORMATS = {one.name: one for one in (CHATML, EOS_JOINED, EOS_NAMELESS)}


def format_for(tokenizer: TextTokenizer) -> Format:
    """Choose the format to train in by the control tokens a base has; raises FormatError without an EOS."""
    if CHATML.open in tokenizer.controls and CHATML.end in tokenizer.controls:
        return CHATML
    if tokenizer.eos not in tokenizer.controls:
        raise FormatError("this base's tokenizer has no end-of-sequence token, so no turn could end")
    return EOS_JOINED


def fits(format: Format, tokenizer: TextTokenizer) -> bool:
    """Say whether a model with this tokenizer can have been taught in a format: any in one without names."""
    return not format.named or format is format_for(tokenizer)


def _border(turn: Turn) -> int:
    """Rank the turns that a long conversation may begin with: the lowest of a few stays so while they slide by."""
    return crc32(f"{turn.name}\n{turn.text}".encode("utf-8", "surrogatepass"))


class Tokens(NamedTuple):
    """Token ids and, position by position, whether each is learned (both of length T)."""

    ids: list[int]
    learned: list[bool]


@dataclass(frozen=True)
class Screenplay:
    """A format bound to a tokenizer."""

    format: Format
    tokenizer: TextTokenizer
    end_id: int = field(init=False)

    def __post_init__(self) -> None:
        """Resolve the end-of-turn token; raises FormatError where the tokenizer lacks it."""
        end = self.format.end or self.tokenizer.eos
        if end not in self.tokenizer.controls:
            raise FormatError(
                f"the format {self.format.name!r} needs the token {end or 'EOS'!r}, which this tokenizer lacks"
            )
        object.__setattr__(self, "end_id", self.tokenizer.controls[end])

    def header(self, name: str) -> list[int]:
        """Return the ids that open a turn of `name`, none where turns have no names; none is ever learned."""
        if not self.format.named:
            return []
        opening = [self.tokenizer.controls[self.format.open]] if self.format.open else []
        name = harmless_name(name, self.tokenizer.controls)
        return opening + self.tokenizer.encode(name + self.format.colon)

    def said(self, text: str) -> list[int]:
        """Return the ids of what is said, the end of turn included: what a character learns."""
        return [*self._words(text), self.end_id]

    def turn(self, turn: Turn, *, learned: bool) -> Tokens:
        """Return one whole turn; where `learned`, its text and end of turn are marked."""
        header, said, after = self.header(turn.name), self.said(turn.text), self._after()
        marks = [False] * len(header) + [learned] * len(said) + [False] * len(after)
        return Tokens(header + said + after, marks)

    def render(self, turns: Iterable[Turn], taught: Collection[str]) -> Tokens:
        """Return a whole scene; the lines of the speakers named in `taught` are learned."""
        ids: list[int] = []
        learned: list[bool] = []
        for one in turns:
            tokens = self.turn(one, learned=one.name in taught)
            ids += tokens.ids
            learned += tokens.learned
        return Tokens(ids, learned)

    def prompt(self, turns: Sequence[Turn], speaker: str, room: int) -> list[int]:
        """Return the ids after which `speaker` replies: at most `room` of them.

        The past is cut on the left at turn borders. The last turn always stays; one that is
        longer than the room by itself loses the beginning of its text, never its name. A long chat
        loses up to a third of the room more: so its prompt begins at the same turn for several
        messages, and what was computed of it can be used again. Without names, where nothing was said,
        an end of turn stands for it: a prompt is never empty.
        """
        opening = self.header(speaker)
        if not turns and not opening:
            return [self.end_id]
        most = self.format.most_turns
        turns = turns[-most:] if most else turns
        room -= len(opening)
        kept: list[list[int]] = []
        left = room
        for one in reversed(turns):
            ids = self.turn(one, learned=False).ids
            if len(ids) > left:
                if not kept:
                    kept.append(self._squeezed(one, left))
                break
            kept.append(ids)
            left -= len(ids)
        kept.reverse()
        if (first := len(turns) - len(kept)) and not most:  # of the last few turns, the first changes each time
            del kept[: self._to_border(turns[first:], kept, room // _SPARED - left)]
        return [token for ids in kept for token in ids] + opening

    @staticmethod
    def _to_border(turns: Sequence[Turn], kept: Sequence[list[int]], spare: int) -> int:
        """Return how many of the first turns to drop, of no more than `spare` tokens, so that a border comes first."""
        starts = [0]
        for at, ids in enumerate(kept[:-1]):
            spare -= len(ids)
            if spare < 0:
                break
            starts.append(at + 1)
        return min(starts, key=lambda at: _border(turns[at]))

    def _squeezed(self, turn: Turn, room: int) -> list[int]:
        header, after = self.header(turn.name), self._after()
        words = self._words(turn.text)
        space = max(0, room - len(header) - 1 - len(after))
        return header + words[len(words) - min(space, len(words)) :] + [self.end_id, *after]

    def _words(self, text: str) -> list[int]:
        return self.tokenizer.encode(self.format.gap + harmless(text, self.tokenizer.controls))

    def _after(self) -> list[int]:
        return self.tokenizer.encode(self.format.after) if self.format.after else []
