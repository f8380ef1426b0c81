"""Does the engine say what transformers would? The share of its greedy tokens that transformers finds likeliest, too.

`python -m bench.loops.agreement [--conversations 16] [--corpus DIR]`: in each number format the engine answers
sixteen conversations at once (int8: eight), greedily, 30 tokens each; then transformers reads prompt and answer in
one go, without cache, batching or int8, in the same format and in fp32. With a corpus, the characters' lines in 24 of
its validation scenes are read as well, every product in the format: their perplexity, and how often the likeliest
token is fp32's.
"""

import argparse
import copy
from typing import Any

import torch

from bench.loops.one import NEW, loaded
from bot.engine import int8
from bot.engine.decoding import Decoder
from bot.engine.protocol import GenerateRequest, Sampling
from bot.engine.tasks import Generation
from bot.settings import load_settings
from persona.dialogue import Scene, Turn
from persona.screenplay import Tokens
from training.corpus import load_corpus
from training.held_out import choose_held_out

SCENES, LONGEST = 24, 400

LINES = (
    "How was your day?", "Not bad. I had lunch with my sister.", "What did you have?", "Pasta, and then more pasta.",
    "I lost my keys again.", "Did you look in the fridge?", "Why would they be in the fridge?", "Last time they were.",
    "Do you want to see a movie tonight?", "Only if there is popcorn.", "My boss is crazy.", "Tell me all of it.",
)  # fmt: skip


def conversations(count: int) -> list[Scene]:
    """Return conversations of three to ten turns."""
    return [
        Scene(tuple(Turn("Sam" if k % 2 else "Ann", LINES[(at * 5 + k) % len(LINES)]) for k in range(3 + at % 8)))
        for at in range(count)
    ]


def answered(decoder: Decoder, scenes: list[Scene], persona: Any) -> list[tuple[list[int], list[int]]]:
    """Return each prompt and the engine's greedy answer, all computed together."""
    request = [GenerateRequest(scene, persona, 1, Sampling(temperature=0), NEW) for scene in scenes]
    tasks: list[Generation] = [task for one in request for task in decoder.generation(one)]
    while not all(task.done for task in tasks):
        decoder.step()
        decoder.drop([task for task in tasks if task.done])
    return [(task.prompt, [one.token for one in task.drawn[0]]) for task in tasks]


@torch.inference_mode()
def agreement(model: Any, answers: list[tuple[list[int], list[int]]]) -> float:
    """Return the share of answered tokens that `model` finds likeliest."""
    same = total = 0
    for prompt, answer in answers:
        logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        same += int((logits.argmax(-1) == torch.tensor(answer)).sum())
        total += len(answer)
    return same / total


@torch.inference_mode()
def read(model: Any, tokens: list[Tokens]) -> tuple[float, torch.Tensor]:
    """Return the perplexity of the learned tokens, and the likeliest token in place of each."""
    nats, likeliest = [], []
    for ids, learned in tokens:
        mask = torch.tensor(learned[1:])
        logits = model(torch.tensor([ids])).logits[0, :-1][mask].float()
        said = torch.tensor(ids[1:])[mask]
        nats.append(logits.logsumexp(1) - logits.gather(1, said.unsqueeze(1)).squeeze(1))
        likeliest.append(logits.argmax(1))
    return float(torch.cat(nats).mean().exp()), torch.cat(likeliest)


def read_scenes(corpus: str) -> None:
    """Print what each number format makes of held-out lines."""
    exact = loaded("fp32")
    held_out = choose_held_out(load_corpus(corpus, load_settings().cache_dir), "validation", [exact.card]).sample(
        SCENES
    )
    rendered = (exact.screenplay.render(scene.turns, held_out.taught or ()) for scene in held_out.scenes)
    tokens = [Tokens(ids[:LONGEST], learned[:LONGEST]) for ids, learned in rendered]
    perplexity, likeliest = read(exact.model, tokens)
    print("\n| every product in | perplexity | against fp32 | fp32's likeliest token |\n|---|--:|--:|--:|")
    print(f"| fp32 | {perplexity:.3f} | | |")
    int8.MOST_ROWS = SCENES * LONGEST
    for name in ("bf16", "int8"):
        found, tops = read(loaded(name).model, tokens)
        same = (tops == likeliest).float().mean().item()
        print(f"| {name} | {found:.3f} | {100 * (found / perplexity - 1):+.2f} % | {100 * same:.1f} % |")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=16)
    parser.add_argument("--corpus", help="the corpus that the shipped model was taught on")
    given = parser.parse_args()
    scenes = conversations(given.conversations)
    exact = loaded("fp32")
    plain = {"fp32": exact.model, "bf16": copy.deepcopy(exact.model).to(torch.bfloat16)}
    plain["int8"] = plain["bf16"]
    print("| engine | with transformers in the same format (int8: bf16) | with fp32 |\n|---|--:|--:|")
    for name, model in plain.items():
        served = loaded(name)
        decoder = Decoder(served, 512, 2**29)
        size = int8.MOST_ROWS if name == "int8" else len(scenes)  # larger steps do without it
        groups = (scenes[at : at + size] for at in range(0, len(scenes), size))
        answers = [one for group in groups for one in answered(decoder, group, served.personas[0])]
        print(f"| {name} | {100 * agreement(model, answers):.1f} % | {100 * agreement(exact.model, answers):.1f} % |")
    if given.corpus:
        read_scenes(given.corpus)


if __name__ == "__main__":
    main()
