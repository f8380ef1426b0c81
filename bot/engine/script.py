"""The tokenizer and format of a checkpoint, without its weights: what an engine needs whose model runs elsewhere."""

from collections.abc import Callable
from pathlib import Path

from bot import logs
from bot.engine.protocol import EngineError
from persona.card import CardError, read_card
from persona.screenplay import FORMATS, FormatError, Screenplay, format_for

_log = logs.logger("engine")


def load_screenplay_only(folder: Path | None, cache: Path, tell: Callable[[str], None]) -> Screenplay:
    """Load what renders the prompts of the checkpoint in `folder`, or of the untouched embedded base.

    Loads torch only where the base has to be found, in `cache`. Raises EngineError in one sentence.
    """
    try:
        return _loaded(folder, cache, tell)
    except (EngineError, CardError, FormatError) as error:
        raise EngineError(str(error)) from None
    except ImportError as error:
        raise EngineError(
            f"the package {error.name or 'of the tokenizer'} cannot be imported: install echochamber[engine]"
        ) from None
    except Exception as error:  # transformers and tokenizers each raise their own
        _log.error("the tokenizer cannot be loaded", exc_info=error)
        raise EngineError(
            f"the tokenizer of {folder or 'the base'} cannot be loaded ({type(error).__name__})"
        ) from None


def _loaded(folder: Path | None, cache: Path, tell: Callable[[str], None]) -> Screenplay:
    from bot.engine.tokenizer import HubTokenizer  # noqa: PLC0415 - slow to import

    card = read_card(folder) if folder else None
    if folder is None or card is None or not (folder / "tokenizer_config.json").is_file():
        folder = _base(card.base.name if card else None, cache, tell)
    if card and card.format not in FORMATS:
        raise EngineError(f"{folder} was taught in the format {card.format!r}, which this program does not know")
    tokenizer = HubTokenizer.load(folder)
    return Screenplay(FORMATS[card.format] if card else format_for(tokenizer), tokenizer)


def _base(name: str | None, cache: Path, tell: Callable[[str], None]) -> Path:
    from bot.engine.bases import EMBEDDED, BaseError, find_base  # noqa: PLC0415 - loads torch

    try:
        return find_base(name or EMBEDDED, cache, tell).folder
    except BaseError as error:
        raise EngineError(str(error)) from None
