"""Public validation cases: the same everywhere, and nobody's."""

import zlib

import numpy as np
import pytest

from scripts.partition.phantom_files import write_site
from src.data.layouts import find_cases
from src.data.phantom import make_phantom
from src.data.phantom_site import SITES
from src.data.preprocess import prepared
from src.data.public_cases import SyntheticCases, synthetic_case
from src.errors import SettingError

SMALL = {"size": 32, "spacing_mm": 5.5}


def test_every_site_makes_the_same_cases():
    first, again = (list(SyntheticCases(count=2, seed=3, **SMALL).cases()) for _ in range(2))
    for case, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(case.images, other.images)
    assert [case.case_id for case in first] == ["public-0", "public-1"]
    other = next(SyntheticCases(count=1, seed=4, **SMALL).cases())
    assert other.images.shape != first[0].images.shape or (other.images != first[0].images).any()


def test_regions_are_nested_and_there_is_a_tumour():
    for case in SyntheticCases(count=4, **SMALL).cases():
        whole, core, enhancing = case.regions.astype(bool)
        assert whole.any()
        assert not (core & ~whole).any()
        assert not (enhancing & ~core).any()


def test_they_are_not_the_patients_of_a_site_with_the_same_seed():
    public = next(SyntheticCases(count=1, seed=7, **SMALL).cases())
    site = make_phantom([7, 0, 0], site=SITES[0], shape=(32, 32, 32), spacing_mm=5.5)
    assert public.regions[0].sum() != (site.label > 0).sum()


def test_no_case_is_refused():
    with pytest.raises(SettingError, match="count must be a whole number of at least 1"):
        SyntheticCases(count=0)


def test_a_patient_without_files_is_as_one_with_files(tmp_path):
    site = SITES[1]
    grid = {"shape": (32, 32, 32), "spacing_mm": 5.5}
    write_site(tmp_path / "site", site=site, cases=1, seed=3, **grid)
    (files,) = find_cases(tmp_path / "site", "brats2021")
    written = prepared(files, tmp_path / "cache")
    made = synthetic_case("other", [3, zlib.crc32(site.name.encode()), 0], site=site, **grid)
    np.testing.assert_array_equal(made.images, written.images)
    np.testing.assert_array_equal(made.regions, written.regions)
    np.testing.assert_allclose(made.affine, written.affine)
    assert made.full_shape == written.full_shape
