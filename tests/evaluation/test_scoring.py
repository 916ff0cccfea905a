"""The scores a site makes of its cases: what goes to the aggregator, and what it keeps."""

import io
import json

import numpy as np
import pytest

from src.data.preprocess import PreparedCase
from src.errors import CaseError
from src.evaluation.scoring import RegionScores

SHAPE = (8, 8, 6)


def case(name: str = "a", tumour: slice = slice(2, 6)) -> PreparedCase:
    regions = np.zeros((3, *SHAPE), np.uint8)
    regions[0, tumour, tumour, 1:5] = 1
    regions[1, tumour, 3:5, 2:4] = 1
    regions[2, tumour, 4:5, 3:4][2:3] = 1
    images = np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    return PreparedCase(name, name, images, regions, affine, SHAPE, (0, 0, 0))


def prediction(source: PreparedCase, shift: int = 0) -> np.ndarray:
    return np.roll(source.regions.astype(bool), shift, axis=1)


def test_a_perfect_prediction_scores_one_and_zero_mm():
    score = RegionScores().score(case(), prediction(case()), distances=True)
    assert score["dice"] == {"WT": 1, "TC": 1, "ET": 1, "mean": 1}
    assert score["hd95_mm"]["mean"] == 0


def test_distances_are_in_the_cases_own_mm_and_only_where_asked():
    scores = RegionScores()
    far = scores.score(case(), prediction(case(), shift=1), distances=True)
    assert far["hd95_mm"]["ET"] == 2.0  # one voxel along X
    assert "hd95_mm" not in scores.score(case(), prediction(case(), shift=1), distances=False)


def test_both_ways_of_scoring_give_the_same_dice():
    scores, shifted = RegionScores(), prediction(case(), shift=1)
    with_mm = scores.score(case(), shifted, distances=True)
    assert with_mm["dice"] == scores.score(case(), shifted, distances=False)["dice"]


def test_the_summary_holds_means_and_counts_but_no_case():
    scores = RegionScores()
    two = [
        scores.score(case(name), prediction(case(name), shift), distances=True)
        for name, shift in (("patient-a", 0), ("patient-b", 8 // 2))
    ]
    summary = scores.summary(two)
    assert summary["cases"] == 2
    assert summary["dice"]["WT"] == pytest.approx((two[0]["dice"]["WT"] + two[1]["dice"]["WT"]) / 2)
    assert summary["empty"] == {"WT": 0, "TC": 0, "ET": 0}
    assert "patient" not in json.dumps(summary)
    assert scores.summary([{"dice": {"WT": 1.0}}, {"dice": {"WT": 0.0}}]) == {"dice": {"WT": 0.5}}


def test_the_site_keeps_its_cases_by_name():
    scores = RegionScores()
    table = scores.table([scores.score(case("patient-a"), prediction(case()), distances=True)])
    assert json.loads(table)[0]["case_id"] == "patient-a"


def pictures(scores: RegionScores, count: int) -> dict[str, np.ndarray]:
    scored = []
    for number in range(count):
        source = case(f"case-{number}")
        guess = prediction(source, shift=number)
        scored.append((scores.score(source, guess, distances=True), source, guess))
    with np.load(io.BytesIO(scores.pictures(scored))) as arrays:
        return dict(arrays)


def test_pictures_are_of_the_worst_the_median_and_the_best_case():
    arrays = pictures(RegionScores(shown=3), 4)
    names = [str(arrays[f"case_id_{k}"]) for k in range(3)]
    assert names[2] == "case-0"
    assert len(set(names)) == 3
    assert arrays["dice_0"].mean() <= arrays["dice_1"].mean() <= arrays["dice_2"].mean()


def test_the_plane_shown_is_where_most_of_the_core_is():
    arrays = pictures(RegionScores(shown=1), 1)
    np.testing.assert_array_equal(arrays["reference_0"], case().regions[..., 2])
    assert arrays["images_0"].shape == (4, 8, 8)
    assert arrays["spacing_0"].tolist() == [2, 2]


def test_fewer_cases_than_pictures_is_no_error():
    assert "case_id_1" not in pictures(RegionScores(shown=3), 1)


def test_a_case_without_a_tumour_shows_its_middle():
    empty = case(tumour=slice(0, 0))
    scores = RegionScores(shown=1)
    guess = prediction(empty)
    scored = [(scores.score(empty, guess, distances=True), empty, guess)]
    with np.load(io.BytesIO(scores.pictures(scored))) as arrays:
        np.testing.assert_array_equal(arrays["images_0"], empty.images[..., 3])


def test_a_case_without_label_cannot_be_scored():
    unlabelled = PreparedCase(
        "b", "b", np.ones((4, *SHAPE), np.float32), None, np.eye(4), SHAPE, (0, 0, 0)
    )
    with pytest.raises(CaseError, match="Case b has no label"):
        RegionScores().score(unlabelled, np.zeros((3, *SHAPE), bool), distances=False)
