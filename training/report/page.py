"""`report.html`: a run as one page that needs neither network nor scripts, made from the run's files alone."""

from pathlib import Path
from typing import Any

import jinja2

from training.report import story, tables
from training.report.curves import Curve, curves
from training.report.picture import draw
from training.report.runlog import RunLog, read_run
from training.report.served import evaluation
from training.runfolder import EVALUATION

FILE_NAME = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"
_LEARNING = "learning_curve"
_TOLD_ABOVE = ("base", "corpora")


def write_report(folder: Path) -> Path:
    """Write `report.html` and its pictures into a run's folder; return the page's path.

    Reads run.json, metrics.jsonl, decisions.jsonl, evaluation.json and the card in `model/`, whatever of
    them is there, so it can be made again at any time. Raises OSError where nothing can be written.
    """
    run = read_run(folder)
    figures = [_figure(folder, curve) for curve in curves(run)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    told = _told(run) | {"evaluation": evaluation(folder)}
    page = environment.get_template("report.html.jinja").render(told, figures=figures)
    _replace(folder / FILE_NAME, page.encode(errors="replace"))  # a reply may hold half a character
    return folder / FILE_NAME


def add_evaluation(folder: Path, text: str) -> Path:
    """Keep what `echochamber evaluate` found, as JSON, in a run's folder, and make its page again; raises OSError."""
    _replace(folder / EVALUATION, text.encode(errors="replace"))
    return write_report(folder)


def _figure(folder: Path, curve: Curve) -> dict[str, Any]:
    """Draw a curve for the page, the learning curve for wide screens and for phones, and as a file."""
    leads = curve.key == _LEARNING
    picture = draw(curve.plot, curve.key, wide=leads)
    _replace(folder / f"{curve.key}.png", picture.png)
    narrow = draw(curve.plot, f"{curve.key}-narrow").svg if leads else ""
    return {"curve": curve, "svg": picture.svg, "narrow": narrow}


def _told(run: RunLog) -> dict[str, Any]:
    return {
        "title": story.title(run),
        "verdict": story.verdict(run),
        "tiles": tables.tiles(run),
        "stopping": story.stopping(run),
        "course": tables.course(run),
        "columns": [name for name, _ in tables.columns(run)],
        "measures": tables.measures(run),
        "interval": tables.interval(run),
        "eyebrow": story.base_name(run),
        "talks": tables.talks(run),
        "shipped": (run.best or {}).get("step"),
        "corpora": tables.corpora(run),
        "base": tables.base(run),
        "leaks": story.leak_checks(run),
        "repeat": story.to_repeat(run),
        "replay": story.to_replay(run),
        "go_on": story.to_go_on(run),
        "asked": {
            name: story.plain(value) for name, value in (run.asked | run.facts).items() if name not in _TOLD_ABOVE
        },
    }


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.replace(path)
