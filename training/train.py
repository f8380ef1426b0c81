"""`echochamber train`, from top to bottom: corpus, split, base, run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from bot.engine.bases import Base, BaseError, find_base
from bot.engine.checkpoints import CheckpointError, choose_device, load_base_model, load_screenplay, quiet_peft
from bot.engine.precision import choose_precision
from persona.card import Card
from persona.characters import Persona, PersonaError, find_persona, friends, read_personas
from persona.lines import teaches
from persona.screenplay import FormatError, Screenplay
from training.corpus import Corpus, CorpusError, load_corpus
from training.export import Exporter
from training.measures import LearnedLoss
from training.options import Options
from training.run import Run
from training.runfolder import RunError, RunFolder
from training.samples import Sampler, window_of
from training.split import Split, split_by_episode

ALL = "all"
__all__ = ["Options", "TrainingError", "train"]


class TrainingError(RuntimeError):
    """A run that cannot be done as asked, in one sentence."""


def train(options: Options, tell: Callable[[str], None], show: Callable[[dict[str, Any]], None]) -> Path:
    """Train and return the folder of the best checkpoint.

    `tell` gets sentences for people, `show` every record of the metrics. Raises TrainingError.
    """
    try:
        return _train(options, tell, show)
    except (BaseError, CheckpointError, CorpusError, FormatError, PersonaError, RunError) as error:
        raise TrainingError(str(error)) from error
    except OSError as error:
        raise TrainingError(f"the run stopped: {error.strerror or type(error).__name__} ({options.out})") from error


def _train(options: Options, tell: Callable[[str], None], show: Callable[[dict[str, Any]], None]) -> Path:
    corpus = load_corpus(options.corpus, options.cache)
    personas = choose_personas(options.persona, corpus)
    split = split_by_episode(corpus.scenes)
    _check_everybody_speaks(personas, split)
    base = find_base(options.base, options.cache, tell)
    folder = RunFolder(options.out)
    folder.begin(options.asked(corpus, base), resume=options.resume)
    folder.restore_model()
    device = choose_device(options.device)
    precision = choose_precision(device, options.cache)
    tell(f"Teaching {', '.join(one.name for one in personas)} from {corpus.name} on {device} in {precision.why}.")
    screenplay = load_screenplay(base.folder)
    model = prepare_model(load_base_model(base, torch.float32), options)
    exporter = Exporter(base, screenplay, _card(options, base, screenplay, (corpus, split, personas)))
    run = Run(options, folder, (device, precision.dtype), exporter, (tell, show))
    return run.go(
        LearnedLoss(model), split, Sampler(screenplay, {one.name for one in personas}, window=window_of(model.config))
    )


def choose_personas(wanted: str, corpus: Corpus) -> tuple[Persona, ...]:
    """Return who is taught: all friends in the corpus, one character, or those of a TOML file.

    A name that nobody wrote an entry for is taken as a speaker's of the corpus.
    """
    speakers = corpus.speakers()
    if wanted == ALL:
        chosen: Sequence[Persona] = [one for one in friends() if one.name in speakers]
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


def _check_everybody_speaks(personas: Sequence[Persona], split: Split) -> None:
    """Refuse, before anything is written, a split in which one side has nothing to learn or measure."""
    names = {one.name for one in personas}
    for scenes, side in ((split.train, "training"), (split.validation, "held-out")):
        if not any(teaches(turn, names) for scene in scenes for turn in scene.turns):
            raise CorpusError(
                f"the characters to be taught say nothing in the {side} episodes; the corpus is too small"
            )


def prepare_model(model: Any, options: Options) -> Any:
    """Return the model ready to train: with a new adapter, or all weights free."""
    model.config.use_cache = False
    if options.full:
        return model
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415 - full fine-tuning needs no peft

    torch.manual_seed(options.seed)
    conv1d = any(type(module).__name__ == "Conv1D" for module in model.modules())
    config = LoraConfig(
        r=options.rank,
        lora_alpha=2 * options.rank,
        target_modules="all-linear",
        fan_in_fan_out=conv1d,
        task_type="CAUSAL_LM",
    )
    with quiet_peft():
        return get_peft_model(model, config)


def _card(
    options: Options, base: Base, screenplay: Screenplay, taught: tuple[Corpus, Split, tuple[Persona, ...]]
) -> Card:
    corpus, split, personas = taught
    return Card(
        base=base.card,
        format=screenplay.format.name,
        kind="full" if options.full else "adapter",
        characters=personas,
        data=({"name": corpus.name, "sha256": corpus.sha256, "scenes": len(corpus.scenes)},),
        split=split.to_card(),
        training=options.asked(corpus, base) | {"torch": torch.__version__, "transformers": transformers.__version__},
    )
