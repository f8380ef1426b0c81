"""Folders of runs that never ran: records as training writes them, and a reader of pages."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from persona.card import BaseCard, Card
from persona.characters import Persona, friends

COMMAND = [
    "/home/ann/bin/echochamber",
    "train",
    "--corpus",
    "my corpus:0.6",
    "--max-minutes",
    "90",
    "--out",
    "runs/a b",
]
VOID = {"meta", "link", "br", "img"}


def validation(step: int, held: float | None, train: float | None, **more: Any) -> dict[str, Any]:
    known = {"kind": "validation", "step": step, "tokens": 900 * step, "minutes": 0.5 + step / 10, "perplexity": 20.0,
             "bits_per_byte": held, "train_bits_per_byte": train, "persona_gain": 0.1, "repetition": None,
             "score": held, "best": False, "corpora": {"friends-corpus": held}}  # fmt: skip
    return known | more


def steps(count: int) -> list[dict[str, Any]]:
    return [
        {"kind": "train", "step": step, "minutes": 0.5 + step / 10, "loss": 3.0, "tokens": 900 * step, "epoch": 0,
         "learned": 450 * step, "learning_rate": 1e-3 * min(1, (count + 1 - step) / 5), "corpus": "friends-corpus"}
        for step in range(1, count + 1)
    ]  # fmt: skip


def start(**more: Any) -> dict[str, Any]:
    return {"kind": "start", "step": 0, "minutes": 0.0, "until": 90, "command": COMMAND} | more


def reply(step: int, name: str = "Joey Tribbiani", text: str = "Hey!") -> dict[str, Any]:
    return {"kind": "reply", "step": step, "character": name, "message": f"Hello {step}", "reply": text}


def good() -> list[dict[str, Any]]:
    return [
        start(), {"kind": "leaks", "corpus": "friends-corpus", "checked": 400, "leaked": 2},
        validation(0, 1.5, 1.49, best=True), reply(0, text="Untouched."), *steps(20),
        validation(10, 1.3, 1.28, best=True), reply(10, text="Old."), validation(20, 1.2, 1.1, best=True), reply(20),
        {"kind": "end", "step": 20, "reason": "minutes", "left": 0, "minutes": 88.4},
    ]  # fmt: skip


def overfit() -> list[dict[str, Any]]:
    return [
        start(), validation(0, 1.5, 1.49, best=True), *steps(20), validation(10, 1.3, 1.0, best=True), reply(10),
        validation(20, 1.4, 0.4),
        {"kind": "end", "step": 20, "reason": "early stopping", "left": 60, "minutes": 2.6},
    ]  # fmt: skip


def write_run(
    folder: Path,
    records: list[dict[str, Any]],
    *,
    name: str = "Joey Tribbiani",
    corpora: tuple[str, ...] = ("friends-corpus",),
) -> Path:
    """Write a run's folder; without records there was no checkpoint either."""
    folder.mkdir(exist_ok=True)
    asked = {"persona": "all", "corpora": [[one, "ab", None] for one in corpora], "leave_out": []}
    (folder / "run.json").write_text(json.dumps({"asked": asked, "facts": {"device": "cpu"}}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    if any(one["kind"] == "validation" for one in records):
        (folder / "model").mkdir(exist_ok=True)
        data = tuple({"name": one, "sha256": "ab" * 32, "scenes": 2811, "weight": 0.5} for one in corpora)
        split = {
            "unit": "episode",
            "validation": ["a", "b"],
            "test": 7,
            "left_out": {"asked": ["season=s10"], "scenes": 9},
        }
        characters = tuple(friends()) if name == "all" else (Persona.from_speaker(name),)
        Card(BaseCard("embedded", "b1" * 32, "a/base"), "chatml", "adapter", characters, data, split).write(
            folder / "model"
        )
    return folder


class Page(HTMLParser):
    """Reads a page: its text without styles, every tag, and whether each is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)
