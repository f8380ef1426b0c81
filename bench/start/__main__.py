"""How long `echochamber chat` takes to start, beside a bare script that does the same work.

`python -m bench.start [--rounds 3]`, on an idle machine. Both load the model that ships (the
untouched base where none does), say the same line to it and decode greedily; the rounds alternate
and the medians are compared. The prompt is timed at a pseudo-terminal, the reply through a pipe.
"""

import argparse
import os
import pty
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bot.engine.shipped import shipped_checkpoint
from bot.settings import load_settings
from persona.harmless import GUEST

LINE = "Hi Joey, what did you have for lunch?"
SPEAKER, LONGEST = "Joey Tribbiani", "40"
END = "<|im_end|>"
PROMPT = f"<|im_start|>{GUEST}\n{LINE}{END}\n<|im_start|>{SPEAKER}\n"
CHAT = [sys.executable, "-m", "echochamber", "chat", "--fresh", "--persona", "joey"]
GREEDY = {**os.environ, "TEMPERATURE": "0", "LONGEST_REPLY": LONGEST, "TERM": "xterm"}
FIND_BASE = """
import sys
from pathlib import Path
import torch
from bot.engine.bases import EMBEDDED, find_base
from bot.engine.precision import choose_precision
cache = Path(sys.argv[1])
print(find_base(EMBEDDED, cache).folder)
print(str(choose_precision(torch.device("cpu"), cache).dtype).removeprefix("torch."))
"""


def seconds_to_prompt() -> float:
    """Start the chat at a terminal and return the seconds until it asks for a line."""
    terminal, slave = pty.openpty()
    start = time.perf_counter()
    chat = subprocess.Popen(CHAT, stdin=slave, stdout=slave, stderr=slave, env=GREEDY, start_new_session=True)
    os.close(slave)
    seen = b""
    while b"You:" not in seen:
        if chat.poll() is not None:
            raise SystemExit(f"the chat ended before its prompt: {seen.decode('utf-8', 'replace')}")
        if select.select([terminal], [], [], 0.01)[0]:
            seen += os.read(terminal, 65536)
    taken = time.perf_counter() - start
    chat.kill()
    chat.wait()
    os.close(terminal)
    return taken


def seconds_to_reply(command: list[str]) -> tuple[float, str]:
    """Run `command` with LINE as its input; return the seconds until its first line, and the line."""
    start = time.perf_counter()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=GREEDY, text=True, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(f"{LINE}\n")
        process.stdin.flush()
        reply = process.stdout.readline().strip()
        taken = time.perf_counter() - start
        process.kill()
    return taken, reply


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    cache = str(load_settings().cache_dir)
    found = subprocess.run([sys.executable, "-c", FIND_BASE, cache], capture_output=True, text=True, check=True)
    base, dtype = found.stdout.split("\n")[:2]
    script = str(Path(__file__).with_name("bare.py"))
    bare = [sys.executable, script, base, str(shipped_checkpoint() or "-"), dtype, PROMPT, END, LONGEST]

    prompts, ours, theirs = [], [], []
    for number in range(rounds + 1):  # the first round fills the disk's cache and is not counted
        prompt, (our, reply), (their, bare_reply) = seconds_to_prompt(), seconds_to_reply(CHAT), seconds_to_reply(bare)
        if number:
            prompts, ours, theirs = [*prompts, prompt], [*ours, our], [*theirs, their]
    first, answer, plain = map(statistics.median, (prompts, ours, theirs))
    print(f"{dtype}, {'adapter ' + str(shipped_checkpoint()) if shipped_checkpoint() else 'untouched base'}")
    print(f"input accepted   {first:6.2f} s   {first / plain:5.2f} of the bare script's whole run")
    print(f"first answer     {answer:6.2f} s   {answer / plain:5.2f} of the bare script's whole run")
    print(f"bare script      {plain:6.2f} s   1.00")
    print(f"chat said:   {reply}\nscript said: {bare_reply}")
    same = bare_reply.startswith(reply)
    print("the same words" if same else "NOT the same words: the chat may have drawn twice, so its time is too long")


if __name__ == "__main__":
    main()
