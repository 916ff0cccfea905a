"""The report: one page that holds all it shows, and says what it is."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from scripts.report import figures
from scripts.report.page import write_report
from scripts.report.run_record import FINAL, VALIDATION, read_run
from tests.scripts.report.conftest import dice_metrics, final_line, round_line, write_rounds


class Page(HTMLParser):
    """The words of a page, its tags, and what its tags point at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words, self.tags, self.sources = "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.words += data


def page_of(run) -> Page:
    return Page(write_report(run).read_text())


def test_the_page_needs_nothing_from_elsewhere(finished_run):
    page = page_of(finished_run)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "script" not in page.tags
    assert len(page.sources) == 3  # curves, pictures of site one, cost


def test_the_page_says_synthetic_and_shows_the_lowest_site(finished_run):
    words = page_of(finished_run).words
    assert "Synthetic patients" in words
    assert "0.700" in words  # mean WT of 0.8 and 0.6
    assert "lowest site: two" in words


def test_real_data_are_not_called_synthetic(finished_run):
    about = json.loads((finished_run / "run.json").read_text())
    (finished_run / "run.json").write_text(json.dumps(about | {"synthetic": False}))
    assert "ynthetic" not in page_of(finished_run).words


def test_report_json_is_the_record(finished_run):
    written = write_report(finished_run).with_name("report.json")
    assert json.loads(written.read_text()) == read_run(finished_run)


def test_an_early_end_is_said(finished_run):
    write_rounds(finished_run, [round_line(0)])
    assert "The run ended after round 1 of 2" in page_of(finished_run).words


def test_a_void_round_is_said_with_its_reason(finished_run):
    void = round_line(1) | {"void": "no update from two"}
    write_rounds(finished_run, [round_line(0), void, final_line()])
    assert read_run(finished_run)["rounds"][1]["void"] == "no update from two"
    words = page_of(finished_run).words
    assert "Round 2 came to nothing: no update from two." in words
    assert "Round 1 came" not in words


@pytest.mark.parametrize(
    ("encryption", "words"),
    [
        ({"bits": 16}, "encrypted: BFV, sums of 16 bits"),
        (None, "not encrypted: the aggregator could read every site's model"),
    ],
    ids=["encrypted", "plain"],
)
def test_the_page_says_what_the_aggregator_could_read(finished_run, encryption, words):
    about = json.loads((finished_run / "run.json").read_text()) | {"encryption": encryption}
    (finished_run / "run.json").write_text(json.dumps(about))
    assert words in page_of(finished_run).words


@pytest.mark.parametrize("metrics", [{}, dice_metrics(0.6)], ids=["no metrics", "noised Dice"])
def test_a_private_run_that_tells_little_has_a_page_with_its_ledgers(finished_run, metrics):
    lines = [round_line(0), round_line(1), final_line()]
    for line, task in zip(lines, [VALIDATION, VALIDATION, FINAL], strict=True):
        for site in line["sites"].values():
            site["metrics"] = {task: metrics} if metrics else {}
    write_rounds(finished_run, lines)
    spent = {"site": "one", "what": "training", "unit": "patient", "bookings": 2}
    about = json.loads((finished_run / "run.json").read_text()) | {
        "privacy": ["differential privacy per patient: epsilon 8"],
        "ledgers": [spent | {"epsilon": 2.9283, "delta": 1e-4}],
    }
    (finished_run / "run.json").write_text(json.dumps(about))
    words = page_of(finished_run).words
    assert "The run ended after" not in words
    assert "differential privacy per patient: epsilon 8" in words
    assert "epsilon 2.928 of each patient at delta 0.0001, after 2 bookings" in words


def test_scores_of_public_cases_are_told_once_and_not_as_the_sites_own(finished_run):
    lines = [round_line(0), round_line(1), final_line()]
    for line in lines:
        line["sites"]["two"]["metrics"] = line["sites"]["one"]["metrics"]
    write_rounds(finished_run, lines)
    about = json.loads((finished_run / "run.json").read_text())
    public = {"validated_on": "public cases, the same at every site", "same_everywhere": True}
    (finished_run / "run.json").write_text(json.dumps(about | public))
    words = page_of(finished_run).words
    assert "on public cases, the same at every site" in words
    assert "own validation cases" not in words
    assert "lowest site" not in words
    assert "2 sites" in words
    assert words.count("every site") > words.count("two")
    kept = json.loads((finished_run / "report" / "report.json").read_text())
    assert set(kept["final"]) == {"one", "two"}


def test_a_run_without_any_round_still_has_a_page(finished_run):
    write_rounds(finished_run, [])
    assert "ended after round 0 of 2" in page_of(finished_run).words


def test_names_cannot_become_markup(finished_run):
    about = json.loads((finished_run / "run.json").read_text())
    about["name"] = "<script>alert(1)</script>"
    (finished_run / "run.json").write_text(json.dumps(about))
    page = page_of(finished_run)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.words


def test_figures_are_also_files(finished_run):
    folder = write_report(finished_run).parent
    assert {p.name for p in folder.glob("*.png")} == {"dice.png", "cost.png", "cases-one.png"}
    assert imread(folder / "dice.png").shape[1] > 1000


def test_regions_are_drawn_front_up_each_in_its_own_colour():
    image = np.zeros((4, 6), np.float32)
    regions = np.zeros((3, 4, 6), np.uint8)
    regions[0, 1, 2] = regions[0, 3, 5] = regions[1, 3, 5] = 1
    picture = figures.filled(figures.grey(image), regions)
    assert picture.shape == (6, 4, 3)  # rows are Y, from the front down; columns X
    green, yellow = picture[2, 1], picture[5, 3]
    assert green.tolist() == pytest.approx([0, 0.6 * 158 / 255, 0.6 * 115 / 255])
    assert yellow[0] > yellow[2]
    assert not picture[0].any()
