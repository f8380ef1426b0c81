"""Training leaves one process: two gloo processes learn the same steps as one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.toys import toy_gpt2, toy_scenes
from tests.training.conftest import write_corpus
from training.team import Team

ROOT = Path(__file__).parents[2]


def rows(run: Path, kind: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record["kind"] == kind]


def trained(at: Path, name: str, *launcher: str) -> Path:
    words = [
        "train", "--corpus", str(at / "toy-corpus"), "--base", str(at / "base"), "--persona", "joey",
        "--rank", "4", "--max-steps", "8", "--learning-rate", "0.02", "--tokens", "400", "--micro-tokens", "200",
        "--prompt-weight", "0.3", "--device", "cpu",
        "--out", str(at / name),
    ]  # fmt: skip
    environment = os.environ | {"CACHE_DIR": str(at / "cache"), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, *(launcher or ("-m",)), "echochamber", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return at / name


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    toy_gpt2(tmp_path / "base", dropout=0.0)
    write_corpus(tmp_path / "toy-corpus", toy_scenes(20))
    threads = f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()} 1"
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "precision.json").write_text(json.dumps({threads: 0.5}))  # a CPU that is no faster in bf16
    one = trained(tmp_path, "one")
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}", "-m")
    two = trained(tmp_path, "two", *launcher)
    facts = [json.loads((run / "run.json").read_text())["facts"] for run in (one, two)]
    assert [fact["processes"] for fact in facts] == [1, 2]
    assert [fact["precision"] for fact in facts] == ["float32", "float32"]
    losses = [[row["loss"] for row in rows(run, "train")] for run in (one, two)]
    assert len(losses[0]) == 8
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)
    assert losses[0][-1] < losses[0][0]
    validated = [[row["bits_per_byte"] for row in rows(run, "validation")] for run in (one, two)]
    assert validated[1] == pytest.approx(validated[0], abs=1e-3)
    assert len(rows(two, "start")) == len(rows(two, "end")) == 1, "only the first process writes"


def test_one_process_is_a_team_of_its_own() -> None:
    team = Team()
    assert (team.size, team.rank, team.leads) == (1, 0, True)
    assert team.share("word") == "word"
    assert team.is_any(True, torch.device("cpu"))
    assert not team.is_any(False, torch.device("cpu"))
    team.wait()
