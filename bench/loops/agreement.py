"""Does the engine say what transformers would? The share of its greedy tokens that transformers finds likeliest, too.

`python -m bench.loops.agreement [--conversations 16]`: in each number format the engine answers sixteen
conversations at once, greedily, 30 tokens each; then transformers reads prompt and answer in one go, without cache,
batching or int8, in the same format and in fp32.
"""

import argparse
import copy
import threading
from typing import Any

import torch

from bench.loops.one import NEW, loaded
from bot.engine.decoding import Decoder
from bot.engine.protocol import GenerateRequest, Sampling
from bot.engine.tasks import Generation
from persona.dialogue import Scene, Turn

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
    tasks: list[Generation] = [task for one in request for task in decoder.generation(one, threading.Event())]
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


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=16)
    scenes = conversations(parser.parse_args().conversations)
    exact = loaded("fp32")
    plain = {"fp32": exact.model, "bf16": copy.deepcopy(exact.model).to(torch.bfloat16)}
    plain["int8"] = plain["bf16"]
    print("| engine | with transformers in the same format (int8: bf16) | with fp32 |\n|---|--:|--:|")
    for name, model in plain.items():
        served = loaded(name)
        answers = answered(Decoder(served, 512, 2**29), scenes, served.personas[0])
        print(f"| {name} | {100 * agreement(model, answers):.1f} % | {100 * agreement(exact.model, answers):.1f} % |")


if __name__ == "__main__":
    main()
