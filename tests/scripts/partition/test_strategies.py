"""Every patient is at exactly one site, whichever way the sites are made."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.partition.fets_csv import by_csv
from scripts.partition.site_names import in_order, site_name, site_names
from scripts.partition.strategies import by_folder, refuse_small, round_robin, usual_count
from src.data.case import SEQUENCES, CaseFiles
from src.errors import InputError
from src.names import check_site

ROOT = Path("/data")


def case(case_id: str, patient: str | None = None, folder: str = "") -> CaseFiles:
    sequences = {name: ROOT / folder / case_id / f"{case_id}_{name}.nii" for name in SEQUENCES}
    return CaseFiles(case_id, patient or case_id, "brats2021", sequences, None)


@st.composite
def cohorts(draw) -> list[CaseFiles]:
    """Patients with one to three cases each."""
    points = draw(st.lists(st.integers(1, 3), min_size=1, max_size=30))
    return [case(f"p{p}-{t}", f"p{p}") for p, count in enumerate(points) for t in range(count)]


def homes(sites) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for site, cases in sites.items():
        for files in cases:
            found.setdefault(files.patient_id, set()).add(site)
    return found


@given(cohorts(), st.integers(1, 30), st.integers(0, 2**32))
def test_round_robin_puts_every_patient_at_one_site_and_every_case_once(cases, count, seed):
    patients = {files.patient_id for files in cases}
    if count > len(patients):
        with pytest.raises(InputError, match="Lower --sites"):
            round_robin(cases, count, seed)
        return
    sites = round_robin(cases, count, seed)
    assert list(sites) == site_names(count)
    assert homes(sites).keys() == patients
    assert all(len(places) == 1 for places in homes(sites).values())
    assert Counter(f.case_id for listed in sites.values() for f in listed) == Counter(
        f.case_id for f in cases
    )
    sizes = Counter(site for (site,) in homes(sites).values())
    assert max(sizes.values()) - min(sizes.values()) <= 1


@given(cohorts(), st.integers(0, 99))
def test_round_robin_depends_on_the_seed_and_not_on_the_order_of_cases(cases, seed):
    assert homes(round_robin(cases, 1, seed)) == homes(round_robin(cases[::-1], 1, seed))
    count = len({files.patient_id for files in cases})
    assert homes(round_robin(cases, count, seed)) == homes(round_robin(cases[::-1], count, seed))


@pytest.mark.parametrize(("patients", "sites"), [(1, 1), (3, 1), (4, 2), (5, 2), (6, 3), (90, 3)])
def test_where_nobody_says_there_are_three_sites_or_as_many_as_the_patients_allow(patients, sites):
    cases = [
        case(f"p{number}-{point}", f"p{number}") for number in range(patients) for point in "ab"
    ]
    assert usual_count(cases) == sites


def test_another_seed_is_another_partition():
    cases = [case(f"p{number}") for number in range(20)]
    assert homes(round_robin(cases, 4, 0)) == homes(round_robin(cases, 4, 0))
    assert homes(round_robin(cases, 4, 0)) != homes(round_robin(cases, 4, 1))


def test_folders_below_the_root_are_sites_also_with_grades_in_them():
    cases = [case("a", folder="UCSF"), case("b", folder="UCSF/HGG"), case("c", folder="Penn_2")]
    sites = by_folder(cases, ROOT)
    assert {site: [f.case_id for f in listed] for site, listed in sites.items()} == {
        "penn-2": ["c"],
        "ucsf": ["a", "b"],
    }


@pytest.mark.parametrize("folder", ["", "HGG", "lgg"])
def test_a_case_that_is_in_no_site_s_folder_is_refused(folder):
    with pytest.raises(
        InputError, match=r"expected it in /data/<site>\. Use --partition round-robin"
    ):
        by_folder([case("a", folder=folder)], ROOT)


def test_two_folders_that_fold_into_one_name_are_refused():
    with pytest.raises(InputError, match=r"Site A and site_a of /data would both .* Rename one"):
        by_folder([case("a", folder="Site A"), case("b", folder="site_a")], ROOT)


def test_a_patient_in_two_folders_is_refused():
    with pytest.raises(InputError, match="Patient p would be at two sites, x and y"):
        by_folder([case("p-0", "p", "x"), case("p-1", "p", "y")], ROOT)


@pytest.fixture
def table(tmp_path):
    def write(*rows: str, header: str = "Partition_ID,Subject_ID") -> Path:
        path = tmp_path / "partitioning.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write


def test_the_fets_csv_names_the_sites_and_minus_1_is_left_out(table):
    path = table(
        "2,FeTS2022_00001", "1,FeTS2022_00000", "10,FeTS2022_00002", "-1,v", "-1,elsewhere"
    )
    cases = [case(f"FeTS2022_0000{number}") for number in range(3)] + [case("v")]
    sites = by_csv(cases, path)
    assert {site: [f.case_id[-1] for f in listed] for site, listed in sites.items()} == {
        "site-1": ["0"],
        "site-2": ["1"],
        "site-10": ["2"],
    }
    assert list(sites) == ["site-1", "site-2", "site-10"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(cohorts(), st.randoms(use_true_random=False))
def test_by_csv_every_case_is_where_its_row_says(table, cases, random):
    part = {files.patient_id: random.randint(0, 5) for files in cases}
    sites = by_csv(cases, table(*(f"{part[f.patient_id]},{f.case_id}" for f in cases)))
    found = {f.case_id: site for site, listed in sites.items() for f in listed}
    assert found == {f.case_id: f"site-{part[f.patient_id]}" for f in cases}


def test_unknown_and_missing_subjects_are_listed(table):
    with pytest.raises(
        InputError,
        match=r"(?s)no case folder for x, y\. .*--partial\.\n.*no row for the cases b, c\.",
    ):
        by_csv([case("a"), case("b"), case("c")], table("1,a", "1,x", "2,y"))


def test_ids_are_compared_exactly(table):
    with pytest.raises(InputError, match=r"for A \(meant: a\?\), a  \(meant: a\?\)\."):
        by_csv([case("a")], table("1,A", "1,a "))


def test_a_subject_whose_case_was_refused_is_not_unknown(table):
    sites = by_csv([case("a")], table("1,a", "1,bad"), refused={"bad"})
    assert [f.case_id for f in sites["site-1"]] == ["a"]


def test_a_patient_in_two_partitions_is_refused(table):
    with pytest.raises(InputError, match="Patient p would be at two sites, site-1 and site-2"):
        by_csv([case("p-0", "p"), case("p-1", "p")], table("1,p-0", "2,p-1"))


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["1,a", "2,a"], "Partition_ID,Subject_ID", "line 3: Subject_ID a stands there twice"),
        (["1,a", "1,a"], "Partition_ID,Subject_ID", "stands there twice"),
        (
            ["x,a"],
            "Partition_ID,Subject_ID",
            "line 2: expected a Partition_ID of -1, 0, 1 …, found 'x'",
        ),
        ([",a"], "Partition_ID,Subject_ID", "found ''"),
        (["1"], "Partition_ID,Subject_ID", "line 2: expected a Subject_ID, found none"),
        (
            ["1,a"],
            "partition,subject",
            "expected the columns Partition_ID,Subject_ID, found partition",
        ),
        ([], "", "expected the columns"),
    ],
)
def test_a_csv_of_another_form_is_refused(table, rows, header, message):
    with pytest.raises(InputError, match=message):
        by_csv([case("a")], table(*rows, header=header))


def test_a_csv_saved_by_excel_is_read(table):
    path = table("1,a", header="\ufeffPartition_ID,Subject_ID")
    path.write_text(path.read_text().replace("\n", "\r\n"))
    assert list(by_csv([case("a")], path)) == ["site-1"]


def test_a_site_with_one_patient_is_refused():
    small = {"one": [case("a"), case("b")], "two": [case("c-0", "c"), case("c-1", "c")]}
    with pytest.raises(InputError, match=r"Site two: expected at least 2 patients .* found c"):
        refuse_small(small)
    refuse_small({"one": small["one"]})


@given(st.text(max_size=60))
def test_site_names_can_be_enrolled_or_are_refused(text):
    try:
        name = site_name(text)
    except InputError as error:
        assert "cannot be made a site's name" in str(error)  # noqa: PT017
        return
    assert check_site(name) == name
    assert site_name(name) == name


@pytest.mark.parametrize(
    ("folder", "site"),
    [
        ("1", "site-1"),
        ("Charité", "charite"),
        ("Universitätsklinikum Köln", "universitaetsklinikum-koeln"[:18] + "-"),
        ("Universita\u0308tsspital", "universitaetsspital"),  # as a Mac writes the umlaut
        ("Weißer Hirsch", "weisser-hirsch"),
        ("Łódź", "lodz"),
        ("Aggregator", "site-aggregator"),
        ("Klinik für Röntgen & Co", "klinik-fuer-roentgen-co"),
    ],
)
def test_an_institution_s_name_becomes_a_site_s(folder, site):
    assert site_name(folder).startswith(site)


def test_two_long_names_that_begin_alike_stay_two():
    names = {site_name(f"Universitätsklinikum Frankfurt {end}") for end in ("Main", "Oder")}
    assert len(names) == 2
    assert all(len(name) <= 24 for name in names)


def test_sites_are_counted_in_words_then_in_numbers():
    assert site_names(3) == ["one", "two", "three"]
    assert site_names(11)[-3:] == ["site-09", "site-10", "site-11"]
    assert in_order(["site-10", "three", "b", "one", "site-2", "two"]) == [
        "one",
        "two",
        "three",
        "b",
        "site-2",
        "site-10",
    ]


@given(st.lists(st.text("abc019-", min_size=1), unique=True))
def test_any_names_can_be_put_in_order(names):
    assert sorted(in_order(names)) == sorted(names)
    assert in_order(names) == in_order(names[::-1])
