"""A site's data: split by patient, drawn evenly, the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.case import CaseFiles
from src.engines.openfl.data_loader import SiteData, split_by_patient, split_independently

PATCHES = {"template": "src.data.patches.Patches", "settings": {"size": [16, 16, 16]}}


def files(*patients: str) -> list[CaseFiles]:
    return [
        CaseFiles(f"{patient}-{i}", patient, "brats2023", {"t1": Path(patient)}, None)
        for i, patient in enumerate(patients)
    ]


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=2).filter(lambda p: len(set(p)) > 1),
    st.integers(0, 9),
)
def test_every_case_is_on_one_side_and_no_patient_on_both(patients, seed):
    cases = files(*patients)
    train, validation = split_by_patient(cases, 0.25, seed)
    assert sorted(c.case_id for c in train + validation) == sorted(c.case_id for c in cases)
    assert {c.patient_id for c in train}.isdisjoint(c.patient_id for c in validation)
    assert train
    assert validation


def test_the_share_is_kept_and_another_seed_splits_otherwise():
    cases = files(*(f"p{i}" for i in range(40)))
    splits = [split_by_patient(cases, 0.25, seed)[1] for seed in (0, 1)]
    assert [len(split) for split in splits] == [10, 10]
    assert splits[0] != splits[1]


def test_a_patient_who_is_added_later_moves_at_most_one_other():
    cases = files(*(f"p{i}" for i in range(40)))
    before = {c.patient_id for c in split_by_patient(cases, 0.25, 0)[1]}
    after = {c.patient_id for c in split_by_patient(cases + files("new"), 0.25, 0)[1]}
    assert len(before - after) <= 1


def test_one_patient_cannot_be_split():
    with pytest.raises(ValueError, match="at least 2 patients"):
        split_by_patient(files("a", "a"), 0.25, 0)


@given(st.sets(st.integers(0, 60), min_size=6), st.integers(0, 9))
def test_an_independent_split_changes_by_the_one_patient_that_comes(numbers, seed):
    cases = files(*(f"p{i}" for i in sorted(numbers)))
    try:
        before = split_independently(cases, 0.25, seed)
    except ValueError:
        return  # nobody was left to train on
    after = split_independently(cases + files("new"), 0.25, seed)
    changed = [len(new) - len(old) for old, new in zip(before, after, strict=True)]
    assert sorted(changed) == [0, 1]
    for old, new in zip(before, after, strict=True):
        assert {c.patient_id for c in old} <= {c.patient_id for c in new}


def test_a_balanced_split_can_move_another_patient():
    cases = files(*(f"p{i}" for i in range(5)))
    train = [
        {c.patient_id for c in split_by_patient(cases + more, 0.25, 0)[0]}
        for more in ([], *(files(f"new{i}") for i in range(20)))
    ]
    assert any(train[0] - other for other in train[1:])  # what an independent one excludes


def test_an_independent_split_keeps_about_the_share():
    cases = files(*(f"p{i}" for i in range(2000)))
    assert 420 < len(split_independently(cases, 0.25, 0)[1]) < 580


def test_a_site_with_nobody_to_train_on_says_so():
    lone = next(c for c in files(*(f"p{i}" for i in range(40))) if not _trains(c))
    with pytest.raises(ValueError, match="None of the 1 cases falls to training"):
        split_independently([lone], 0.25, 0)


def _trains(case: CaseFiles) -> bool:
    return case in split_independently([case, *files("p3", "p5", "p9", "p12")], 0.25, 0)[0]


@pytest.fixture
def site(phantom_sites, tmp_path) -> SiteData:
    return SiteData(str(phantom_sites["one"]), patches=PATCHES, cache=str(tmp_path / "cache"))


def test_the_folder_says_its_kind_and_sizes_are_counted(site):
    assert (site.get_train_data_size(), site.get_valid_data_size()) == (4, 1)
    assert site.get_feature_shape() == (4, 16, 16, 16)


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


def test_without_data_there_is_a_shape_for_initialising_a_plan():
    assert SiteData(None, patches=PATCHES).get_feature_shape() == (4, 16, 16, 16)


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
        site = SiteData(str(phantom_sites["one"]), split=split, **settings)
        return {case.case_id for case in site.train_files}

    every = SiteData(str(phantom_sites["one"]), patches=PATCHES)
    cases = [*every.train_files, *every.validation_files]
    sizes = set()
    for seed in range(6):
        alone = split_independently(cases, 0.4, seed)[0]
        assert training("independent", seed) == {case.case_id for case in alone}
        assert len(training("balanced", seed)) == 3
        sizes.add(len(alone))
    assert len(sizes) > 1  # else the two could not be told apart
