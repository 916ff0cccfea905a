"""Exchanged files and exchanged label values are warned of; no synthetic case is."""

from dataclasses import replace

import numpy as np
import pytest

from src.data.anatomy import warnings_of
from src.data.case import Case
from src.data.kinds import KINDS
from src.data.phantom import brats_affine, make_phantom
from src.data.phantom_site import SITES
from src.data.regions import to_regions

SIZE, SPACING = 64, 2.75


def high_grade(site, kind="brats2021") -> Case:
    """The first patient whose tumour has a rim that enhances."""
    return next(c for c in (phantom(seed, site, kind) for seed in range(9)) if c.grade == "HGG")


def phantom(seed, site=SITES[0], kind="brats2021") -> Case:
    made = make_phantom(seed, site=site, shape=(SIZE, SIZE, SIZE), spacing_mm=SPACING)
    label = np.array([0, 1, 2, 0, KINDS[kind].labels.enhancing], np.uint8)[made.label]
    affine = brats_affine(label.shape, SPACING)
    images = made.images.astype(np.float32)
    grade = str(made.clinical["grade"])
    return Case("c", "p", images, to_regions(label, kind), affine, grade, label)


def told(case) -> list[str]:
    return warnings_of(case, case.brain)


def relabelled(case, kind, change) -> Case:
    label = change(case.label).astype(np.uint8)
    return replace(case, label=label, regions=to_regions(label, kind))


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_no_synthetic_case_looks_exchanged(site):
    assert [text for seed in range(4) for text in told(phantom(seed, site))] == []


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_exchanged_t1_and_t1ce_are_told(site):
    case = high_grade(site)
    (text,) = told(replace(case, images=case.images[[1, 0, 2, 3]]))
    assert "t1ce is darker than t1" in text


# The first high-grade patient of the last site has too small a core.
@pytest.mark.parametrize("site", SITES[:4], ids=lambda site: site.name)
def test_exchanged_core_and_oedema_are_told_as_in_msd_numbers_under_2023(site):
    case = high_grade(site, "brats2023")
    msd = relabelled(case, "brats2023", lambda label: np.choose(label, [0, 2, 1, 3]))
    (text,) = told(msd)
    assert "the core borders on healthy tissue" in text


def test_a_cavity_that_enhances_is_told_as_in_labels_of_2015_under_2024():
    case = high_grade(SITES[0], "brats2024")
    old = relabelled(case, "brats2024", lambda label: np.choose(label, [0, 1, 2, 4]))
    assert any("enhances more than its enhancing tumour" in text for text in told(old))


def test_a_cavity_that_does_not_enhance_is_none_of_it():
    case = phantom(0, kind="brats2024")
    cavity = relabelled(case, "brats2024", lambda label: np.where(label == 1, 4, label))
    assert told(cavity) == []


def test_a_case_without_a_label_says_nothing():
    assert told(replace(phantom(0), regions=None, label=None)) == []
