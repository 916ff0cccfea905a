"""Labels become WT, TC and ET by the convention of the named data set, and come back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from src.data.kinds import KINDS
from src.data.regions import REGIONS, from_regions, to_regions
from src.errors import CaseError, SettingError

KIND = st.sampled_from(sorted(KINDS))


@st.composite
def labels(draw) -> tuple[np.ndarray, str]:
    kind = draw(KIND)
    values = st.sampled_from(sorted(KINDS[kind].labels.values))
    return draw(arrays(np.uint8, (3, 4, 2), elements=values)), kind


def test_regions_of_the_classic_labels():
    regions = to_regions(np.array([0, 1, 2, 4]), "brats2021")
    assert dict(zip(REGIONS, regions.tolist(), strict=True)) == {
        "WT": [0, 1, 1, 1],
        "TC": [0, 1, 0, 1],
        "ET": [0, 0, 0, 1],
    }


def test_enhancing_tumour_is_3_from_2023_on():
    assert to_regions(np.array([0, 1, 2, 3]), "brats2023")[2].tolist() == [0, 0, 0, 1]


def test_the_resection_cavity_of_2024_is_in_no_region():
    regions = to_regions(np.array([1, 3, 4]), "brats2024")
    assert regions[:, 2].tolist() == [0, 0, 0]
    assert regions[:, 1].tolist() == [1, 1, 1]


def test_every_kind_before_2023_agrees_with_monai():
    from monai.transforms import ConvertToMultiChannelBasedOnBratsClasses

    label = np.random.default_rng(0).choice([0, 1, 2, 4], (6, 5, 4))
    core, whole, enhancing = np.asarray(ConvertToMultiChannelBasedOnBratsClasses()(label))
    for kind in ("brats2018", "brats2019", "brats2020", "brats2021", "fets2022", "ucsf-pdgm"):
        assert np.array_equal(to_regions(label, kind), [whole, core, enhancing])


def test_values_of_another_kind_are_refused_and_not_converted():
    with pytest.raises(
        CaseError, match=r"expected label values 0, 1, 2, 4 \(brats2021\), found 0, 1, 2, 3\. In"
    ):
        to_regions(np.array([0, 1, 2, 3]), "brats2021")


def test_only_kinds_whose_cases_are_named_so_are_hinted_at_and_with_meanings():
    with pytest.raises(CaseError, match=r"fit brats2024 \(1 core, 2 oedema, 3 enh") as error:
        to_regions(np.arange(5), "brats2023", "BraTS-GLI-00000-000")
    assert "phantom" not in str(error.value)
    with pytest.raises(CaseError, match="Ask whoever drew") as error:
        to_regions(np.arange(5), "brats2021", "BraTS2021_00000")
    assert "brats2024" not in str(error.value)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (np.nextafter(np.float32([0, 1, 2, 4]), np.float32(0)), r"0\.99999994 \(voxels: 1\)"),
        (np.float32([0, 1.0000001, 2, 4]), "Rounding would give 0, 1, 2, 4: save it rounded"),
        (np.float64([0, 1, 3.9999]), "Rounding would give 0, 1, 4: save it rounded"),
        (np.float64([0, 1, 2.9999]), "would give 0, 1, 3, which brats2021 does not know either"),
        (np.float32([0, 1, 1.4, 2]), "interpolated, or holds probabilities. Do not round it"),
        (np.float32([0, np.nan]), "Set NaN and infinite to 0 only where you know"),
        (np.arange(100), "Is that an image, and no segmentation"),
        (np.array([0, 1, -1]), "found -1, 0, 1. In brats2021: 1 core"),
    ],
)
def test_the_digits_in_which_a_label_differs_are_shown_with_what_to_do(found, message):
    with pytest.raises(CaseError, match=message):
        to_regions(found, "brats2021")


@pytest.mark.parametrize("wrong", [[0, 1.5], [-1, 0], [0, 300], [0, np.nan]])
def test_a_label_that_is_no_label_is_refused(wrong):
    with pytest.raises(CaseError, match="expected label values 0, 1, 2, 4"):
        to_regions(np.array(wrong, np.float32), "brats2021")


def test_an_unknown_kind_is_refused_and_the_known_are_listed():
    with pytest.raises(SettingError, match=r"kind must be one of brats2018, .*'brats1999'"):
        to_regions(np.zeros(3, np.uint8), "brats1999")


@given(labels())
def test_labels_come_back_but_for_what_is_outside_the_tumour(pair):
    label, kind = pair
    expected = np.where(np.isin(label, KINDS[kind].labels.outside), 0, label)
    assert np.array_equal(from_regions(to_regions(label, kind), kind), expected)


@given(labels())
def test_regions_are_nested_and_any_dtype_gives_the_same(pair):
    label, kind = pair
    whole, core, enhancing = to_regions(label, kind)
    assert (enhancing <= core).all()
    assert (core <= whole).all()
    for dtype in (np.int16, np.float32, np.float64):
        assert np.array_equal(to_regions(label.astype(dtype), kind), [whole, core, enhancing])


@given(arrays(bool, (3, 3, 2, 2)), KIND)
def test_any_prediction_becomes_a_lawful_nested_label(regions, kind):
    label = from_regions(regions, kind)
    whole, core, enhancing = regions
    nested = np.stack([whole, whole & core, whole & core & enhancing])
    assert label.dtype == np.uint8
    assert np.array_equal(to_regions(label, kind), nested)


def test_regions_need_three_channels():
    with pytest.raises(ValueError, match=r"shape \(3, \.\.\.\), got \(4, 2\)"):
        from_regions(np.zeros((4, 2)), "brats2021")
