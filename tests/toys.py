"""Tiny models in the hub's own layouts: random weights, a tokenizer trained on a few lines."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedTokenizerFast

from persona.dialogue import Scene, Turn

EOS = "<|endoftext|>"
CHATML_TOKENS = ["<|im_start|>", "<|im_end|>"]
LINES = (
    "Hello there, how are you doing today?",
    "I am fine, thank you, and what about the soup?",
    "The soup is cold: 12 spoons, 3 bowls and nobody wants any of it!",
    "Joey Tribbiani Chandler Bing Monica Geller Phoebe Buffay Rachel Green Ross Geller Guest Ann",
)


def toy_tokenizer(*, chatml: bool = False, size: int = 400) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE like GPT-2's; with `chatml`, its control tokens are there too."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [EOS, *(CHATML_TOKENS if chatml else [])]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    end = CHATML_TOKENS[1] if chatml else EOS
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=end, bos_token=special[-2 if chatml else 0], unk_token=EOS
    )


def toy_gpt2(folder: Path, *, pickled: bool = False, dropout: float = 0.1) -> Path:
    """Write a GPT-2 of random weights: safetensors, or the old `pytorch_model.bin` with merges.txt."""
    tokenizer = toy_tokenizer()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=128, n_embd=32, n_layer=2, n_head=2,
        bos_token_id=tokenizer.eos_token_id, eos_token_id=tokenizer.eos_token_id,
        resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout,
    )  # fmt: skip
    return _write(folder, AutoModelForCausalLM.from_config(config), tokenizer, pickled=pickled)


def toy_llama(folder: Path) -> Path:
    """Write a Llama of random weights with ChatML's control tokens, like the embedded base."""
    tokenizer = toy_tokenizer(chatml=True)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return _write(folder, AutoModelForCausalLM.from_config(config), tokenizer)


def toy_scenes(episodes: int = 12, speakers: tuple[str, ...] = ("Joey Tribbiani", "Ann")) -> tuple[Scene, ...]:
    """Return one scene of eight turns an episode, all of them ours to commit."""
    scenes = []
    for number in range(episodes):
        turns = tuple(Turn(speakers[one % len(speakers)], LINES[(one + number) % 3]) for one in range(8))
        scenes.append(Scene(turns, f"s01_e{number:02d}_c01", f"s01_e{number:02d}"))
    return tuple(scenes)


def _write(folder: Path, model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, *, pickled: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if pickled:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        tokenizer.backend_tokenizer.model.save(str(folder))
        for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            (folder / file).unlink(missing_ok=True)
    return folder
