"""Several adapters over one base in memory: the default is merged, the others are served beside it, unmerged.

What is served unmerged is the difference to the default, one LoRA of both ranks together: over the
merged weights W + B A it adds B' A' - B A. So requests for the default cost nothing but the check
whether an adapter is on. peft does all of it. Imports torch.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

_DEFAULT = "default"


class Adapters:
    """A model with adapters beside the merged one; `use` switches between them."""

    def __init__(self, wrapped: PeftModel) -> None:
        self._wrapped = wrapped
        self._layers: Any = wrapped.base_model  # torch's modules give their attributes no types
        self._used: str | None = None

    @property
    def model(self) -> Any:
        """Return the model itself; the adapters live in its layers."""
        return self._layers.model

    def use(self, name: str) -> None:
        """Switch to the adapter `name`, "" for the merged one alone."""
        if name == self._used:
            return
        if name:
            self._layers.enable_adapter_layers()
            self._wrapped.set_adapter(name)
        else:
            self._layers.disable_adapter_layers()
        self._used = name


@dataclass(frozen=True, slots=True)
class _Difference:
    config: PeftConfig
    weights: dict[str, torch.Tensor]


def merge(model: Any, folder: Path) -> Any:
    """Merge the adapter in `folder` into `model`; the base that it records is never followed. Raises as peft does."""
    with quiet_peft():
        return PeftModel.from_pretrained(model, str(folder), local_files_only=True).merge_and_unload()


def merge_beside(model: Any, default: Path | None, others: Mapping[str, Path]) -> Adapters:
    """Merge `default` into `model` and keep `others`, by name, beside it. Raises as peft does."""
    with quiet_peft():
        found = {name: _difference(model, default, name, folder) for name, folder in others.items()}
        model = merge(model, default) if default else model
        wrapped: PeftModel | None = None
        for name, one in found.items():
            if wrapped is None:
                wrapped = PeftModel(model, one.config, adapter_name=name, autocast_adapter_dtype=False)
            else:
                wrapped.add_adapter(name, one.config, autocast_adapter_dtype=False)
            set_peft_model_state_dict(wrapped, one.weights, adapter_name=name)
    if wrapped is None:
        raise ValueError("there is no adapter to keep beside the default")
    wrapped.eval()
    adapters = Adapters(wrapped)
    adapters.use("")
    return adapters


def _difference(model: Any, default: Path | None, name: str, folder: Path) -> _Difference:
    """Return the adapter in `folder`, less the default; `model` is left as it was."""
    wrapped = PeftModel.from_pretrained(
        model, str(folder), adapter_name=name, local_files_only=True, autocast_adapter_dtype=False
    )
    layers: Any = wrapped.base_model
    wanted = name
    if default is not None:
        wrapped.load_adapter(str(default), _DEFAULT, local_files_only=True, autocast_adapter_dtype=False)
        wanted = f"{name}-less-{_DEFAULT}"
        layers.add_weighted_adapter([name, _DEFAULT], [1.0, -1.0], wanted, combination_type="cat")
    config = wrapped.peft_config[wanted]
    config.inference_mode = True
    weights = {key: one.clone() for key, one in get_peft_model_state_dict(wrapped, adapter_name=wanted).items()}
    layers.unload()
    return _Difference(config, weights)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Silence the one warning that peft 0.21 draws from transformers 5.23 in every model it wraps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
