"""Public validation cases: the same everywhere, and nobody's."""

import numpy as np
import pytest

from src.data.phantom import make_phantom
from src.data.phantom_site import SITES
from src.data.public_cases import SyntheticCases

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
    with pytest.raises(ValueError, match="count must be a whole number of at least 1"):
        SyntheticCases(count=0)
