"""ctranslate2: `python ct2.py MODEL THREADS` prints replies a minute as JSON; nothing of ours is imported."""

import json
import random
import sys
import time
from pathlib import Path

import ctranslate2

PROMPTS, PROMPT_TOKENS, NEW = 16, 190, 30


def main() -> None:
    """Measure one at a time and in a batch."""
    generator = ctranslate2.Generator(sys.argv[1], device="cpu", compute_type="int8", intra_threads=int(sys.argv[2]))
    vocabulary = json.loads((Path(sys.argv[1]) / "vocabulary.json").read_text(encoding="utf-8"))
    found = {}
    for name, at_once in (("ct2 one", 1), ("ct2 batch", PROMPTS)):
        times = []
        for _ in range(3):
            prompts = [random.choices(vocabulary[100:40_000], k=PROMPT_TOKENS) for _ in range(at_once)]
            start = time.perf_counter()
            generator.generate_batch(
                prompts, max_length=NEW, min_length=NEW, sampling_topk=0, sampling_topp=0.9, sampling_temperature=0.8,
                include_prompt_in_result=False, max_batch_size=PROMPTS,
            )  # fmt: skip
            times.append(time.perf_counter() - start)
        found[name] = 60 * at_once / min(times[1:])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
