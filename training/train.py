"""`echochamber train`, from top to bottom: corpora, split, base, mixture, leak check, run."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import accelerate  # type: ignore[import-untyped]
import torch
import transformers

from bot.engine.adapters import quiet_peft
from bot.engine.bases import Base, BaseError, find_base
from bot.engine.checkpoints import CheckpointError, choose_device, load_base_model, load_screenplay
from bot.engine.precision import choose_precision
from persona.card import CardError
from persona.characters import PersonaError
from persona.copied import CopiedLines
from persona.screenplay import FormatError
from training.cast import EVERYBODY, check_everybody_speaks, choose_personas, taught_names
from training.copied_lines import copied_lines
from training.corpus import Corpus, CorpusError
from training.decisions import Decision, find_log, read_decisions
from training.exchanges import load_exchanges
from training.export import Exporter, card_of
from training.job import Job, Voices
from training.leaks import find_leaks
from training.materials import (
    join_parts,
    load_corpora,
    load_judged,
    some_training,
    validation_sample,
    with_exchanges,
    with_judged,
)
from training.measures import LearnedLoss
from training.mixture import Part, parse_corpus
from training.options import Options, OptionsError
from training.run import Run
from training.runfolder import RunError, RunFolder
from training.split import split_scenes
from training.start import Start, find_start
from training.team import Team
from training.windows import window_of

__all__ = ["Options", "TrainingError", "train"]

Tell = Callable[[str], None]
Show = Callable[[dict[str, Any]], None]
_REFUSALS = (BaseError, CardError, CheckpointError, CorpusError, FormatError, OptionsError, PersonaError, RunError)


class TrainingError(RuntimeError):
    """A run that cannot be done as asked, in one sentence."""


def _never() -> bool:
    return False


def train(options: Options, tell: Tell, show: Show, stop: Callable[[], bool] = _never) -> Path:
    """Train and return the folder of the best checkpoint.

    `tell` gets sentences for people, `show` every record of the metrics; `stop` is asked after
    every step and ends the run like a signal does. Raises TrainingError.
    """
    try:
        options.check()
        return _train(options, Voices(tell, show, stop))
    except _REFUSALS as error:
        raise TrainingError(str(error)) from error
    except OSError as error:
        raise TrainingError(f"the run stopped: {error.strerror or type(error).__name__} ({options.out})") from error


def _train(options: Options, voices: Voices) -> Path:
    device = choose_device(options.device)
    team = _gather(device)
    if not team.leads:
        voices = Voices(lambda line: None, lambda record: None, voices.stop)
    corpora = load_corpora(options)
    show = corpora[0]
    personas = choose_personas(options.persona, show)
    split = some_training(split_scenes(show, options.leave_out), options)
    taught = taught_names(options.persona, personas)
    check_everybody_speaks(taught, split)
    base = find_base(options.base, options.cache, voices.tell)
    screenplay = load_screenplay(base.folder)
    start = find_start(options, base)
    exchanges = load_exchanges(options.exchanges, personas) if options.exchanges_share else None
    if options.exchanges_share and exchanges is None:
        raise OptionsError("there are no exchanges for these characters: give a folder with --exchanges, or no share")
    judged = load_judged(options, personas)
    asked = _asked(options, corpora, base) | _asked_beside(exchanges, judged[0] if judged else None, start)
    log = read_log(options.replay, asked) if options.replay else ()
    model = load_base_model(base, torch.float32)
    window = _window(options, model.config)
    parts = join_parts(options, corpora, (split, taught), (base, screenplay), window)
    if exchanges:
        parts = with_exchanges(options, parts, exchanges, (base, screenplay))
    if judged:
        parts = with_judged(options, parts, judged)
    if start:
        for part in parts:
            start.check_held_out(part.corpus, part.split)
    folder = RunFolder(options.out, leads=team.leads, keep_for_average=options.keep_for_average)
    try:
        facts = _facts(options, base, device, team) | {"sample_tokens": validation_sample(options, parts[0])}
        if team.leads:
            facts = folder.begin(asked, facts, resume=options.resume)
            folder.restore_model()
        facts = team.share(facts)
        names = EVERYBODY if taught is None else ", ".join(one.name for one in personas)
        voices.tell(
            f"Teaching {names} from {', '.join(one.name for one in parts)} on {device} in {facts['precision']}."
        )
        for part in parts:
            _check_leaks(part, folder, voices)
        card = card_of(asked, base, screenplay, (parts, personas))
        copied = cache(lambda: _copied(parts, start, voices.tell))
        exporter = Exporter(base, screenplay, card, copied)
        job = Job(options, folder, parts, screenplay, personas, exporter, device, facts, log, team, start)
        return Run(job, voices).go(LearnedLoss(prepare_model(model, options), options.contrast))
    finally:
        folder.close()


def _copied(parts: Sequence[Part], start: Start | None, tell: Tell) -> CopiedLines:
    """Return the hashes of the training scenes of each corpus, and of what was learned before."""
    made = copied_lines(part.split.train for part in parts if not part.own)
    return start.with_copied(made, tell) if start else made


def _gather(device: torch.device) -> Team:
    """Join the processes that `accelerate launch` or torchrun started, if they did."""
    accelerate.PartialState(cpu=device.type == "cpu")
    return Team()


def _asked(options: Options, corpora: Sequence[Corpus], base: Base) -> dict[str, Any]:
    """Return all that a resumed or repeated run must ask for again."""
    weights = [parse_corpus(one)[1] for one in options.corpora]
    return options.asked() | {
        "corpora": [[one.name, one.sha256, weight] for one, weight in zip(corpora, weights, strict=True)],
        "base": base.card.sha256,
    }


def _asked_beside(exchanges: Corpus | None, judged: Corpus | None, start: Start | None) -> dict[str, Any]:
    """Return what is asked for only where it is used, so that runs without it stay what they were."""
    used = {"exchanges": exchanges.sha256} if exchanges else {}
    used |= {"judged": judged.sha256} if judged else {}
    return used | ({"start_from": start.known} if start else {})


def _facts(options: Options, base: Base, device: torch.device, team: Team) -> dict[str, Any]:
    """Return what was found here and must not change between the starts of a run."""
    return {
        "base": base.card.sha256,
        "precision": str(choose_precision(device, options.cache).dtype).removeprefix("torch."),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "processes": team.size,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def prepare_model(model: Any, options: Options) -> Any:
    """Return the model ready to train: with a new adapter, or all weights free."""
    model.config.use_cache = False
    torch.manual_seed(options.seed)
    if options.full:
        return model
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415 - full fine-tuning needs no peft

    conv1d = any(type(module).__name__ == "Conv1D" for module in model.modules())
    config = LoraConfig(
        r=options.rank,
        lora_alpha=2 * options.rank,
        lora_dropout=options.dropout,
        target_modules="all-linear",
        fan_in_fan_out=conv1d,
        task_type="CAUSAL_LM",
    )
    with quiet_peft():
        return get_peft_model(model, config)


def _window(options: Options, config: Any) -> int:
    """Return the longest window in tokens; raises OptionsError where the model cannot read it."""
    longest = int(getattr(config, "max_position_embeddings", options.context or 0))
    if options.context and options.context > longest:
        raise OptionsError(f"--context {options.context} is longer than the {longest} tokens that this base can read")
    return options.context or window_of(config)


def _check_leaks(part: Part, folder: RunFolder, voices: Voices) -> None:
    found = find_leaks(part.split.validation + part.split.test, part.split.train, part.sampler.taught)
    voices.tell(f"{part.name}: {found.sentence()}")
    record = {"kind": "leaks", "corpus": part.name, "checked": found.checked, "leaked": found.leaked}
    folder.log(record)
    voices.show(record)


def read_log(path: Path, asked: dict[str, Any]) -> list[Decision]:
    """Return the decisions of the run that is repeated; raises RunError where it was another run, or never ended."""
    file = find_log(path)
    try:
        log = read_decisions(file.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise RunError(f"cannot read the log {file}: {error.strerror or error}") from error
    except ValueError as error:
        raise RunError(f"{file} is no log of decisions: {error}") from error
    if not any(decision.what == "stop" for decision in log):
        raise RunError(f"{file} does not say where its run stopped, so there is nothing to repeat it to")
    RunFolder(file.parent).compare(asked)
    return log
