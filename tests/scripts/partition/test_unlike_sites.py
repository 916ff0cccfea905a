"""Strategies that make sites unlike on purpose: patient-wise, disjoint, covering, reproducible."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.partition.differences import distance, distances
from scripts.partition.patients import Patient, patients_of
from scripts.partition.strategy import STRATEGIES, strategy_of
from src.data.case import CaseFiles
from src.errors import InputError

ALL = ("volume", "grade", "age", "scanner", "quantity", "quantity:2.5", "dirichlet:grade:0.5")


def a_patient(number: int) -> Patient:
    rng = np.random.default_rng(number)
    return Patient(
        f"p{number:03d}",
        (),
        volume_ml=float(rng.lognormal(4, 0.6)),
        grade=("HGG", "LGG")[number % 3 == 0],
        age=float(rng.uniform(20, 80)),
        scanner=f"s{number % 5}",
    )


def a_case(patient: str, number: int, grade: str | None = None) -> CaseFiles:
    path = Path(f"{patient}-{number}/t1.nii")
    return CaseFiles(f"{patient}-{number}", patient, "phantom", {"t1": path}, None, grade)


def dealt(text: str, patients: list[Patient], count: int, seed: int = 0) -> list[list[Patient]]:
    chosen = strategy_of(text)
    assert chosen is not None
    return chosen.deal(patients, count, np.random.default_rng(seed))


PATIENTS = [a_patient(number) for number in range(60)]


@pytest.mark.parametrize("text", ALL)
@given(size=st.integers(20, 60), count=st.integers(2, 4), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_every_patient_is_at_one_site_and_the_seed_decides(text, size, count, seed):
    patients = PATIENTS[:size]
    sites = dealt(text, patients, count, seed)
    assert len(sites) == count
    assert sorted(p.patient_id for own in sites for p in own) == [p.patient_id for p in patients]
    assert min(map(len, sites)) >= 2
    assert sites == dealt(text, patients, count, seed)


@pytest.mark.parametrize("name", ["volume", "age"])
def test_sorted_sites_do_not_overlap(name):
    field = {"volume": "volume_ml", "age": "age"}[name]
    small, middle, large = (
        [getattr(patient, field) for patient in own] for own in dealt(name, PATIENTS, 3)
    )
    assert max(small) <= min(middle)
    assert max(middle) <= min(large)
    assert len(small) == len(middle) == len(large) == 20


def test_sites_by_grade_hold_one_grade_but_for_the_one_in_between():
    sites = dealt("grade", PATIENTS, 3)
    assert [sorted({p.grade for p in own}) for own in sites] == [["HGG"], ["HGG"], ["LGG"]]


def test_patients_of_one_scanner_stay_together():
    owners = {}
    for site, own in enumerate(dealt("scanner", PATIENTS, 3)):
        for patient in own:
            owners.setdefault(patient.scanner, set()).add(site)
    assert all(len(sites) == 1 for sites in owners.values())


def test_more_sites_than_scanners_are_refused():
    with pytest.raises(InputError, match="at least 6 groups for 6 sites, found 5: s0, s1"):
        dealt("scanner", PATIENTS, 6)


def test_a_power_law_by_hand():
    """1, 1/2, 1/3 are 6, 3, 2 of 11 shares: of 55 patients 30, 15, 10."""
    assert [len(own) for own in dealt("quantity:0", PATIENTS, 3)] == [20, 20, 20]
    assert [len(own) for own in dealt("quantity:1", PATIENTS[:55], 3)] == [30, 15, 10]
    assert [len(own) for own in dealt("quantity:10", PATIENTS, 3)] == [56, 2, 2]


def test_given_numbers_are_taken_as_they_are():
    assert [len(own) for own in dealt("quantity:40,16,4", PATIENTS, 3)] == [40, 16, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("quantity:40,16", "sum to 56, for 3 sites and 60 patients"),
        ("quantity:40,19,1", "each at least 2"),
        ("quantity:a", "expected quantity:1.5"),
        ("quantity:-1", "expected quantity:1.5"),
        ("quantity:1:2", "expected quantity:1.5"),
        ("quantity:nan", "expected quantity:1.5"),
        ("dirichlet", "expected dirichlet:PROPERTY:ALPHA"),
        ("dirichlet:height:1", "expected dirichlet:PROPERTY:ALPHA"),
        ("dirichlet:grade:0", "ALPHA above 0"),
        ("volume:3", "expected volume alone"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        dealt(text, PATIENTS, 3)


def test_another_word_is_none_of_the_strategies():
    assert strategy_of("partitioning_1.csv") is None


def test_a_smaller_alpha_makes_sites_less_alike():
    def apart(alpha: float) -> float:
        found = [dealt(f"dirichlet:grade:{alpha}", PATIENTS, 3, seed) for seed in range(20)]
        grades = [[[p.grade for p in own] for own in sites] for sites in found]
        return float(np.mean([distance(values).mean for values in grades]))

    assert apart(0.3) > apart(3) > apart(300)


def test_a_draw_that_never_leaves_two_patients_a_site_is_refused():
    with pytest.raises(InputError, match="always a site with fewer than 2 of the 8 patients"):
        dealt("dirichlet:grade:0.0001", PATIENTS[:8], 4)


def test_patients_without_the_property_are_named():
    lacking = [*PATIENTS[:5], Patient("p999", ())]
    with pytest.raises(InputError, match=r"1 of 6 patients have none: p999.*`age` in clinical.csv"):
        dealt("age", lacking, 2)


def test_a_property_that_all_share_cannot_part_them():
    alike = [Patient(f"p{n}", (), grade="HGG") for n in range(8)]
    with pytest.raises(InputError, match="all 8 patients have the same, HGG"):
        dealt("grade", alike, 2)


def test_properties_are_of_a_patient_not_of_a_case():
    cases = [a_case("a", 0), a_case("b", 0, "LGG"), a_case("a", 1)]
    rows = {"a-1": {"age": "61,5", "grade": "HGG", "scanner": " Aera "}, "a-0": {"age": ""}}
    a, b = patients_of(cases, {"a-0": 10.0, "a-1": 30.0}, rows)
    assert (a.volume_ml, a.age, a.grade, a.scanner) == (20.0, 61.5, "HGG", "Aera")
    assert [case.case_id for case in a.cases] == ["a-0", "a-1"]
    assert (b.volume_ml, b.age, b.grade, b.scanner) == (None, None, "LGG", None)


@pytest.mark.parametrize("text", ["sixty", "nan", "inf", "-1", "1962"])
def test_an_age_that_is_none_is_named(text):
    with pytest.raises(InputError, match=f"patient a: expected an age of 0 to 130 .* '{text}'"):
        patients_of([a_case("a", 0)], {}, {"a-0": {"age": text}})


def test_a_grade_is_one_however_it_is_written():
    rows = {"a-0": {"grade": " hgg"}, "b-0": {"grade": "HGG"}}
    a, b = patients_of([a_case("a", 0), a_case("b", 0)], {}, rows)
    assert a.grade == b.grade == "HGG"


# -- how unlike ----------------------------------------------------------------------------------


def test_distances_by_hand():
    """Grades 2/2 HGG against 1/2: 0.5. Volumes 0,0 against 2,2 move by 2, whose deviation is 1."""
    assert distance([["HGG", "HGG"], ["HGG", "LGG"]]).mean == 0.5
    assert distance([[0.0, 0.0], [2.0, 2.0]]).mean == 2.0
    three = distance([[0.0, 0.0], [0.0, 0.0], [3.0, 3.0]])
    assert three.most == pytest.approx(3 / np.sqrt(2))
    assert three.mean == pytest.approx(2 / 3 * 3 / np.sqrt(2))


def test_sites_dealt_at_random_are_as_far_apart_as_the_floor_says():
    rng = np.random.default_rng(1)
    sites = {str(k): [a_patient(int(n)) for n in rng.integers(0, 999, 20)] for k in range(3)}
    found = distances(sites)["volume"]
    assert 0.4 * found.floor < found.mean < 2.5 * found.floor


def test_a_property_that_some_patient_lacks_is_left_out():
    sites = {"one": PATIENTS[:5], "two": [*PATIENTS[5:9], Patient("p999", (), volume_ml=3.0)]}
    assert set(distances(sites)) == {"volume"}


def test_every_strategy_says_what_it_does():
    assert all(about for _, about in STRATEGIES.values())
