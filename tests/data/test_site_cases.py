"""A site's cases: drawn evenly, preprocessed once, known again by their images."""

import numpy as np
import pytest

from src.data.case import CaseFiles
from src.data.site_cases import SiteCases
from src.data.split import split_independently

PATCHES = {"template": "src.data.patches.Patches", "settings": {"size": [16, 16, 16]}}


@pytest.fixture
def site(phantom_sites, tmp_path) -> SiteCases:
    return SiteCases(str(phantom_sites["one"]), patches=PATCHES, cache=str(tmp_path / "cache"))


def test_the_folder_says_its_kind_and_cases_are_counted(site):
    assert (site.get_train_data_size(), site.get_valid_data_size()) == (4, 1)


def test_batches_are_the_seeds_and_every_case_comes_before_any_comes_again(site):
    first = list(site.training_batches(2, 2, np.random.default_rng(3)))
    again = list(site.training_batches(2, 2, np.random.default_rng(3)))
    for (images, regions), (images_again, _) in zip(first, again, strict=True):
        assert images.shape == (2, 4, 16, 16, 16)
        assert regions.shape == (2, 3, 16, 16, 16)
        assert images.dtype == regions.dtype == np.float32
        np.testing.assert_array_equal(images, images_again)

    drawn = []
    site.patches = type("Spy", (), {"batch": lambda self, cases, rng: drawn.extend(cases)})()
    list(site.training_batches(4, 2, np.random.default_rng(0)))
    names = [case.case_id for case in drawn]
    assert len(set(names[:4])) == len(set(names[4:])) == 4


def test_a_case_is_preprocessed_once(site, tmp_path):
    first = site.train_cases[0].images
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    list(site.validation_cases())
    list(site.training_batches(3, 2, np.random.default_rng(0)))
    assert {p: p.stat().st_mtime_ns for p in written} == written
    assert isinstance(first, np.memmap)


def test_a_patients_scans_are_one_record(site):
    scan = site.train_files[0]
    again = CaseFiles("other", scan.patient_id, scan.kind, scan.sequences, scan.label, scan.grade)
    site.train_files = [*site.train_files, again]
    assert [len(patient) for patient in site.patients] == [2, 1, 1, 1]
    images, regions = site.patient_crops(site.patients[0], 3, np.random.default_rng(0))
    assert images.shape == (3, 4, 16, 16, 16)
    assert regions.shape == (3, 3, 16, 16, 16)


def test_marks_know_a_renamed_patient_by_his_images(site):
    before = set(site.identifiers("training"))
    first = site.train_files[0]
    renamed = CaseFiles("new", "new", first.kind, first.sequences, first.label)
    site.train_files = [renamed, *site.train_files[1:]]
    after = set(site.identifiers("training"))
    assert before - after == {f"id {first.patient_id}"}
    assert after - before == {"id new"}
    assert before.isdisjoint(site.identifiers("validation"))


def test_a_site_splits_as_its_plan_says(phantom_sites):
    def training(split: str, seed: int) -> set[str]:
        settings = {"patches": PATCHES, "validation_fraction": 0.4, "split_seed": seed}
        site = SiteCases(str(phantom_sites["one"]), split=split, **settings)
        return {case.case_id for case in site.train_files}

    every = SiteCases(str(phantom_sites["one"]), patches=PATCHES)
    cases = [*every.train_files, *every.validation_files]
    sizes = set()
    for seed in range(6):
        alone = split_independently(cases, 0.4, seed)[0]
        assert training("independent", seed) == {case.case_id for case in alone}
        assert len(training("balanced", seed)) == 3
        sizes.add(len(alone))
    assert len(sizes) > 1  # else the two could not be told apart
