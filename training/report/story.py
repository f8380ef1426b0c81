"""A run in sentences: who was taught what, how far it came, why it stopped, how to go on."""

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from training.report.curves import is_by_heart
from training.report.runlog import Record, RunLog
from training.words import counted, duration, joined, nameless, number

_WITH_VALUE = ("--max-minutes", "--max-steps", "--replay")
_REASONS = {
    "minutes": "its minutes were spent",
    "steps": "it had made the steps that were asked for",
    "early stopping": "of early stopping: validation after validation had brought nothing better",
    "interrupted": "a signal asked it to; everything was saved first",
    "stopped": "it was asked to; everything was saved first",
    "NaN": "the loss was no longer a number; the last good checkpoint was kept, and a lower learning rate may do",
}


def title(run: RunLog) -> str:
    """Say who was taught, and from what."""
    card, asked = run.card, run.asked
    who = joined([one.name for one in card.characters]) if card else str(asked.get("persona") or "Somebody")
    who = "All characters" if who == "all" else who
    return f"{who}, taught from {joined(corpus_names(run)) or 'a corpus'}"


def base_name(run: RunLog) -> str:
    """Return the base's name without its owner's or its folder's; "" where nothing tells it."""
    name = (run.card.base.repo or run.card.base.name) if run.card else _value(command(run), "--base") or ""
    return nameless(name).rpartition("/")[2]


def corpus_names(run: RunLog) -> list[str]:
    """Return the corpora's names: from the card, else from what was asked for."""
    if run.card:
        return [nameless(str(one.get("name", "a corpus"))) for one in run.card.data]
    asked = run.asked.get("corpora")
    return [nameless(str(one[0])) for one in asked if one] if isinstance(asked, list) else []


def verdict(run: RunLog) -> list[str]:
    """Say how far the best checkpoint came, and whether it was learning by heart by the end."""
    best, untouched, told = run.best, run.untouched, list[str]()
    if not best:
        return ["Nothing has been measured yet: the first validation is still to come."]
    ours, theirs = best["bits_per_byte"], number(untouched, "bits_per_byte")
    if best.get("step") == 0:
        told.append("No checkpoint was better than the untouched base yet.")
    elif theirs:
        change = 100 * (ours / theirs - 1)
        size = f"{abs(change):.1f} % {'fewer' if change < 0 else 'more'}"
        told.append(
            f"For lines it has not seen, the best checkpoint needs {size} bits than the untouched base: {ours:.3f} "
            f"a byte instead of {theirs:.3f}."
        )
    return [*told, *_after_the_best(run)]


def _after_the_best(run: RunLog) -> list[str]:
    best, last = run.best, run.last
    if not best or not last or len(run.validations) < 2:
        return []
    if run.asked.get("keep_last"):
        return ["The last checkpoint is kept, as was asked for, whatever its score."]
    if last is best:
        return ["The last validation was the best: there is no sign of learning by heart."]
    kept = f"step {best.get('step', 0):,}"
    if not is_by_heart(run):
        return [f"Nothing after {kept} was better by the score; what is kept is that step's checkpoint."]
    return [
        f"After {kept} it began to learn by heart: held-out lines went from {best['bits_per_byte']:.3f} back up to "
        f"{last['bits_per_byte']:.3f} bits a byte, while the training sample went down to "
        f"{last['train_bits_per_byte']:.3f}. What is kept is the checkpoint of {kept}."
    ]


def stopping(run: RunLog) -> str:
    """Say where it stopped and why."""
    end = run.end
    if not end:
        return (
            "No end is on record: the run is still going on, or it was killed, and --resume goes on from its last save."
        )
    reason = str(end.get("reason", ""))
    left = number(end, "left")
    sentence = f"It stopped at step {number(end, 'step') or 0:,.0f}, after {duration(run.minutes)}"
    sentence += f", because {_REASONS[reason]}" if reason in _REASONS else ""
    unspent = left if left is not None and left >= 0.5 else 0
    return sentence + (f". {counted(round(unspent), 'minute')} of its time are left." if unspent else ".")


def leak_checks(run: RunLog) -> list[str]:
    """Say of each corpus how many held-out replies stand in a training scene word for word."""
    last = {str(one.get("corpus", "")): one for one in run.of("leaks")}
    return [_leaks(name, found) for name, found in last.items()] or ["The leak check is not on record."]


def _leaks(name: str, found: Record) -> str:
    checked, leaked = number(found, "checked"), number(found, "leaked")
    start = f"Leak check of {name}" if name else "Leak check"
    if not checked or leaked is None:
        return f"{start}: there was no held-out reply of six words or more to look for."
    return (
        f"{start}: {leaked:,.0f} of {checked:,.0f} held-out replies of six words and more "
        f"({100 * leaked / checked:.1f} %) stand word for word in a training scene, too."
    )


def command(run: RunLog) -> list[str]:
    """Return the words of the first start's command, or none where they were not kept."""
    words = next((one.get("command") for one in run.of("start") if one.get("command")), None)
    if not isinstance(words, list):
        return []
    first = PurePath(str(words[0])).name
    rest = [str(word) for word in words[1:]]
    return ["echochamber", str(words[0]), *rest] if first == "train" else ["echochamber", *rest]


def to_repeat(run: RunLog) -> str:
    """Return the command that was given, quoted for a shell."""
    return shlex.join(command(run))


def to_replay(run: RunLog) -> str:
    """Return the command that repeats the decisions of the clock as well; "" where there are none."""
    words = _without(command(run), "--replay")
    out = _value(words, "--out")
    if not words or not out or not run.decisions:
        return ""
    return shlex.join([*_without(words, "--out"), "--out", f"{out.rstrip('/')}-again", "--replay", out])


def to_go_on(run: RunLog) -> str:
    """Return the command that goes on with this run; "" where the same would only fail again."""
    words = command(run)
    reason, steps = (run.end or {}).get("reason"), _value(words, "--max-steps")
    if not words or reason == "NaN":
        return ""
    for option in _WITH_VALUE:
        words = _without(words, option)
    words = [*(word for word in words if word != "--resume"), "--resume"]
    if reason == "steps" and steps and steps.isdecimal():
        words += ["--max-steps", str(2 * int(steps))]
    elif reason in ("minutes", "early stopping"):
        words += ["--max-minutes", "30"]
    return shlex.join(words)


def _value(words: list[str], option: str) -> str | None:
    for place, word in enumerate(words):
        if word == option and place + 1 < len(words):
            return words[place + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _without(words: list[str], option: str) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word != option and not word.startswith(f"{option}="):
            kept.append(word)
        skip = word == option
    return kept


def plain(value: Any) -> str:
    """Return an option's value for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
