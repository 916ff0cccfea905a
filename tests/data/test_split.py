"""The split of a site's cases: by patient, the same for the same seed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.case import CaseFiles
from src.data.split import split_by_patient, split_independently
from src.errors import InputError


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
    with pytest.raises(InputError, match="at least 2 patients"):
        split_by_patient(files("a", "a"), 0.25, 0)


@given(st.sets(st.integers(0, 60), min_size=6), st.integers(0, 9))
def test_an_independent_split_changes_by_the_one_patient_that_comes(numbers, seed):
    cases = files(*(f"p{i}" for i in sorted(numbers)))
    try:
        before = split_independently(cases, 0.25, seed)
    except InputError:
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
    with pytest.raises(InputError, match="None of the 1 cases falls to training"):
        split_independently([lone], 0.25, 0)


def _trains(case: CaseFiles) -> bool:
    return case in split_independently([case, *files("p3", "p5", "p9", "p12")], 0.25, 0)[0]
