"""The report's section on attacks: what was carried out is shown, with what it does not prove."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.attack import figures
from scripts.report.attacked import section
from scripts.report.page import as_png, write_report

AUC = {"auc": 0.91, "low": 0.71, "high": 0.99}
COIN = {"auc": 0.52, "low": 0.31, "high": 0.72}
SITE = {"members": 8, "others": 30, "loss_members": 0.4, "loss_others": 0.61}
MEMBERSHIP = {
    "sites": {"one": SITE | {"initial": COIN, "final": AUC, "fall": AUC}},
    "pooled": SITE | {"initial": COIN, "final": COIN, "fall": COIN, "is_evidence": False},
}
ROW = {
    "correlation": {"t1": 0.31, "mean": 0.32},
    "psnr_db": 17.5,
    "dice": {"WT": 0.7, "TC": 0.1},
    "distance": 0.02,
}
INVERSION = {
    "side": 16,
    "iterations": 200,
    "rows": [ROW | {"title": "1 step", "held_by": "the <b>aggregator</b>"}],
}
STEP = {"canaries": 100, "guesses": 20, "right": 18, "noise_size": 0.5, "name": "half the noise"}
CANARIES = {
    "epsilon": 1.0,
    "delta": 1e-5,
    "rows": [
        STEP | {"lower_bound": 1.23, "caught_by": ["audit", "size"]},
        STEP | {"lower_bound": 0.2, "caught_by": ["rounds"], "name": "same noise"},
        STEP | {"lower_bound": 0.4, "caught_by": [], "name": "as it is"},
    ],
}


def leave(folder: Path, name: str, found: dict, figure) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"attack-{name}.json").write_text(json.dumps(found))
    (folder / f"attack-{name}.png").write_bytes(as_png(figure))


def test_without_an_attack_there_is_no_section(tmp_path):
    assert section(tmp_path) == ""


def test_numbers_without_their_figure_are_left_out(tmp_path):
    (tmp_path / "attack-membership.json").write_text(json.dumps(MEMBERSHIP))
    assert section(tmp_path) == ""


@pytest.mark.parametrize("initial", [True, False], ids=["of a run", "of a model"])
def test_membership_shows_each_site_and_its_verdict(tmp_path, initial):
    found = json.loads(json.dumps(MEMBERSHIP))
    if not initial:
        for row in (found["pooled"], found["sites"]["one"]):
            del row["initial"], row["fall"]
    leave(tmp_path, "membership", found, figures.membership(found))
    words = section(tmp_path)
    assert "<td>0.91 (0.71 to 0.99)</td>" in words
    assert "no evidence that it tells members apart" in words
    assert ("<th>initial model</th>" in words) is initial
    assert "no proof of privacy" in words


def test_inversion_shows_each_form_of_the_update_and_is_no_markup(tmp_path):
    patch = np.random.default_rng(0).normal(size=(4, 8, 8, 8))
    regions = patch[:3] > 0.5
    figure = figures.inversion(["truth", "1 step"], [patch] * 2, [regions] * 2)
    leave(tmp_path, "inversion", INVERSION, figure)
    words = section(tmp_path)
    assert "&lt;b&gt;aggregator" in words
    assert "17.5 dB" in words
    assert "never one of this run" in words


def test_canaries_mark_what_exceeds_the_claim(tmp_path):
    leave(tmp_path, "canaries", CANARIES, figures.canaries(CANARIES))
    words = section(tmp_path)
    assert '<td class="low">1.23</td>' in words
    assert "<td>0.20</td>" in words
    assert "audit, size" in words
    assert "18 of 20" in words


def test_the_section_is_part_of_the_runs_page(finished_run):
    assert "Attacked" not in write_report(finished_run).read_text()
    leave(finished_run / "report", "membership", MEMBERSHIP, figures.membership(MEMBERSHIP))
    page = write_report(finished_run).read_text()
    assert "<h2>Attacked</h2>" in page
    assert page.index("<h2>Attacked</h2>") < page.index("<h2>Cost</h2>")


def test_a_slice_without_a_tumour_core_is_drawn_where_the_tumour_is():
    images = np.random.default_rng(0).normal(size=(4, 4, 4, 4))
    regions = np.zeros((3, 4, 4, 4), bool)
    regions[0, 1, 1, 3] = True
    figure = figures.inversion(["truth"], [images], [regions])
    drawn = figure.axes[0].images[0].get_array()
    expected = figures.grey(images[1][..., 3])
    np.testing.assert_allclose(drawn, expected)
