"""Pictures: SVG that a page can colour, PNG beside it, and labels that are only labels."""

import re

from training.report.picture import COLOURS, Line, Panel, Plot, draw

CURVE = Line("held out", [(0, 1.5), (40_000, 1.3), (90_000, 1.4)], "held", marker="o")
OTHER = Line("training", [(0, 1.5), (40_000, 1.2), (90_000, 0.9)], "train", "--")
MINUTES = [(0, 0.5), (90_000, 30.5)]


def test_a_plot_becomes_an_svg_and_a_png() -> None:
    picture = draw(Plot([Panel("bits", [CURVE, OTHER])], MINUTES, [(40_000, "best 1.300")]), "one")
    assert picture.svg.startswith("<svg")
    assert re.match(r"<svg[^>]* viewBox=", picture.svg)
    assert not re.match(r"<svg[^>]* (width|height)=", picture.svg)
    assert "metadata" not in picture.svg
    assert picture.png.startswith(b"\x89PNG")
    for label in ("held out", "training", "best 1.300", "bits", "40 k", "14 min"):
        assert f">{label}<" in picture.svg, label


def test_every_colour_is_the_pages() -> None:
    svg = draw(Plot([Panel("bits", [CURVE, OTHER], ("base", 1.5), shaded=True, alarm=40_000)]), "one").svg
    bare = re.sub(r"var\(--chart-(\w+), (#\w+)\)", lambda found: "" if COLOURS[found[1]] == found[2] else found[0], svg)
    assert re.findall(r"#[0-9a-f]{6}\b", bare) == []
    assert re.search(r"fill: var\(--chart-alarm[^;]*; fill-opacity", svg)


def test_the_alarm_is_shaded_only_where_it_is_raised() -> None:
    svg = draw(Plot([Panel("bits", [CURVE, OTHER], shaded=True)]), "one").svg
    assert "--chart-alarm" not in svg
    assert re.search(r"fill: var\(--chart-gap[^;]*; fill-opacity", svg)


def test_pictures_share_no_ids_and_repeat_to_the_byte() -> None:
    plot = Plot([Panel("bits", [CURVE, OTHER])])
    one, two = draw(plot, "one"), draw(plot, "two")
    ids = [set(re.findall(r' id="([^"]*)"', picture.svg)) for picture in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for used in re.findall(r'(?:url\(#|href="#)([^)"]+)', one.svg):
        assert used in ids[0]
    assert draw(plot, "one") == one


def test_labels_are_neither_formulas_nor_markup() -> None:
    names = ("$\\frac{1}{2}$ <script>alert(1)</script> & Co", "友達 コーパス")  # a script that the font lacks, too
    lines = [Line(name, CURVE.points, "held") for name in names]
    svg = draw(Plot([Panel("bits", lines)]), "one").svg
    assert "<script" not in svg
    assert "$\\frac{1}{2}$ &lt;script&gt;" in svg
    assert "友達" in svg


def test_one_point_at_the_start_is_a_picture() -> None:
    svg = draw(Plot([Panel("bits", [Line("held out", [(0, 1.5)], "held")])], [(0, 0.5)]), "one").svg
    assert ">0.5 min<" in svg
    assert svg.count(" min<") == 1


def test_marks_that_would_meet_stand_one_above_the_other() -> None:
    svg = draw(Plot([Panel("bits", [CURVE])], marks=[(80_000, "best"), (90_000, "stopped")]), "one").svg
    heights = [float(re.search(rf'y="([\d.]+)"[^>]*>{label}<', svg)[1]) for label in ("best", "stopped")]
    assert heights[1] < heights[0] - 8
