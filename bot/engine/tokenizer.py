"""transformers' tokenizers behind the screenplay's small protocol."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer


class HubTokenizer:
    """A tokenizer in the hub's layout; see `persona.screenplay.TextTokenizer`."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped
        # Only tokens flagged special: a base may have plain words among its added tokens.
        self.controls: dict[str, int] = {
            str(token.content): ident for ident, token in wrapped.added_tokens_decoder.items() if token.special
        }
        self.controls |= dict(zip(wrapped.all_special_tokens, wrapped.all_special_ids, strict=True))
        self.eos: str = str(wrapped.eos_token or "")

    @classmethod
    def load(cls, folder: Path) -> "HubTokenizer":
        """Load the tokenizer files of `folder`; raises OSError or ValueError as transformers does.

        ValueError too where there is no vocabulary: transformers then makes a tokenizer that reads nothing.
        """
        loaded = cls(AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True))
        if not loaded.decode(loaded.encode("hello")).strip():
            raise ValueError(f"the tokenizer in {folder} has no vocabulary")
        return loaded

    def encode(self, text: str) -> list[int]:
        """Tokenize plain text, adding nothing in front of or behind it."""
        return list(self.wrapped.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids` without any control token."""
        text = self.wrapped.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)
