"""Cases are found by the names of their data set, and what is missing is said."""

import pytest

from src.data.kinds import KINDS
from src.data.layouts import (
    Dataset,
    find_cases,
    read_dataset_yaml,
    scan_cases,
    write_dataset_yaml,
)
from src.errors import CaseError, InputError


def only(root, kind, **settings):
    (case,) = find_cases(root, kind, **settings)
    return case


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_found_packed_or_not(write_case, tmp_path, kind, ending):
    folder = write_case(tmp_path, kind, ending=ending)
    case = only(tmp_path, kind)
    assert case.kind == kind
    assert case.folder == folder
    assert {path.parent for path in case.paths} == {folder}
    assert len(case.paths) == 5


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_example_of_a_kind_is_one_of_that_kind(kind):
    assert KINDS[kind].patient_of_folder(KINDS[kind].example.split("/")[-1])


@pytest.mark.parametrize(
    ("kind", "case_id", "patient"),
    [
        ("brats2018", "Brats18_TCIA01_147_1", "Brats18_TCIA01_147"),
        ("brats2019", "BraTS19_2013_10_1", "BraTS19_2013_10"),
        ("brats2020", "BraTS20_Validation_002", "BraTS20_Validation_002"),
        ("brats2021", "BraTS2021_01666", "BraTS2021_01666"),
        ("brats2023", "BraTS-GLI-00000-001", "BraTS-GLI-00000"),
        ("brats2024", "BraTS-GLI-02060-103", "BraTS-GLI-02060"),
        ("ucsf-pdgm", "UCSF-PDGM-0409_FU001d", "UCSF-PDGM-0409"),
    ],
)
def test_the_patient_is_the_id_without_the_time_point(write_case, tmp_path, kind, case_id, patient):
    write_case(tmp_path, kind, case_id)
    case = only(tmp_path, kind)
    assert (case.case_id, case.patient_id) == (case_id, patient)


def test_time_points_are_cases_of_one_patient_sorted_by_id(write_case, tmp_path):
    for name in ("BraTS-GLI-00002-000", "BraTS-GLI-00000-001", "BraTS-GLI-00000-000"):
        write_case(tmp_path, "brats2023", name)
    cases = find_cases(tmp_path, "brats2023")
    assert [case.case_id[-9:] for case in cases] == ["00000-000", "00000-001", "00002-000"]
    assert len({case.patient_id for case in cases}) == 2


def test_the_upper_folder_gives_the_grade(write_case, tmp_path):
    write_case(tmp_path / "HGG", "brats2018", "Brats18_2013_2_1")
    write_case(tmp_path / "LGG", "brats2018", "Brats18_2013_0_1")
    write_case(tmp_path / "other", "brats2018", "Brats18_2013_1_1")
    grades = {case.case_id: case.grade for case in find_cases(tmp_path, "brats2018")}
    assert list(grades.values()) == ["LGG", None, "HGG"]


def test_case_355_of_2020_has_its_label_under_an_older_name(write_case, tmp_path):
    folder = write_case(tmp_path, "brats2020", "BraTS20_Training_355", ending=".nii")
    assert (folder / "W39_1998.09.19_Segm.nii").is_file()
    assert only(tmp_path, "brats2020").label == folder / "W39_1998.09.19_Segm.nii"


def test_nested_archives_links_and_a_single_case_are_found(write_case, tmp_path):
    deep = write_case(tmp_path / "data" / "BraTS2020_TrainingData" / "MICCAI", "brats2020")
    assert only(tmp_path / "data", "brats2020").folder == deep
    assert only(deep, "brats2020").folder == deep
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / deep.name).symlink_to(deep, target_is_directory=True)
    assert only(tmp_path / "linked", "brats2020").case_id == deep.name


def test_hidden_folders_and_mac_leftovers_are_passed_over(write_case, tmp_path):
    write_case(tmp_path / "data")
    write_case(tmp_path / "data" / "__MACOSX")
    write_case(tmp_path / "data" / ".trash")
    assert len(find_cases(tmp_path / "data", "brats2021")) == 1


def test_a_missing_sequence_is_named_with_what_is_there(write_case, tmp_path):
    folder = write_case(tmp_path)
    (folder / "BraTS2021_00000_t1ce.nii.gz").unlink()
    with pytest.raises(CaseError) as error:
        find_cases(tmp_path, "brats2021")
    assert str(error.value) == (
        f"Case BraTS2021_00000: expected BraTS2021_00000_t1ce (.nii or .nii.gz) in {folder}, found "
        "BraTS2021_00000_flair.nii.gz, BraTS2021_00000_seg.nii.gz, BraTS2021_00000_t1.nii.gz, "
        "BraTS2021_00000_t2.nii.gz. Add what is missing or take the case away."
    )


def test_all_incomplete_cases_are_listed_and_the_others_still_found(write_case, tmp_path):
    for number in range(3):
        write_case(tmp_path, case_id=f"BraTS2021_0000{number}", labelled=number != 1)
    (tmp_path / "BraTS2021_00002" / "BraTS2021_00002_t2.nii.gz").unlink()
    with pytest.raises(CaseError, match=r"(?s)00001.*_seg.*\n.*00002.*_t2"):
        find_cases(tmp_path, "brats2021")
    cases, refused = scan_cases(tmp_path, "brats2021")
    assert [case.case_id for case in cases] == ["BraTS2021_00000"]
    assert list(refused) == ["BraTS2021_00001", "BraTS2021_00002"]


def test_a_label_is_demanded_only_where_it_is_needed(write_case, tmp_path):
    write_case(tmp_path, labelled=False)
    assert only(tmp_path, "brats2021", labelled=False).label is None


def test_one_case_in_two_places_is_refused_in_both(write_case, tmp_path):
    write_case(tmp_path / "a")
    write_case(tmp_path / "b")
    with pytest.raises(CaseError, match=r"found in .*a/BraTS2021_00000 and in .*b/.*Keep one"):
        find_cases(tmp_path, "brats2021")


def test_an_empty_folder_is_an_error_that_names_kind_pattern_and_content(tmp_path):
    (tmp_path / "readme.txt").touch()
    with pytest.raises(
        InputError, match=r"kind brats2021, named like BraTS2021_00000; found readme"
    ):
        find_cases(tmp_path, "brats2021")


def test_data_of_another_kind_are_not_read_but_the_hint_names_it(write_case, tmp_path):
    write_case(tmp_path / "train", "fets2022")
    with pytest.raises(InputError, match=r"folders there are named like fets2022. Is --data or"):
        find_cases(tmp_path, "brats2021")


def test_no_folder_and_no_kind_are_errors(tmp_path):
    with pytest.raises(InputError, match="found none at"):
        find_cases(tmp_path / "nowhere", "brats2021")
    with pytest.raises(InputError, match="kind must be one of brats2018"):
        find_cases(tmp_path, "brats")


def test_dataset_yaml_comes_back(tmp_path):
    write_dataset_yaml(tmp_path, Dataset("brats2023", synthetic=True))
    assert read_dataset_yaml(tmp_path) == Dataset("brats2023", synthetic=True)
    (tmp_path / "dataset.yaml").write_text("kind: fets2022\n")
    assert read_dataset_yaml(tmp_path) == Dataset("fets2022", synthetic=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a line such as"),
        ("- brats2021", "expected a line such as"),
        ("kind: mine", "kind must be one of"),
        ("kind: [brats2021]", "kind must be one of"),
        ("kind: brats2021\nsynthetic: maybe", "synthetic must be one of True, False"),
        ("kind: brats2021: x", "no YAML"),
        (None, "expected a dataset.yaml"),
    ],
)
def test_a_wrong_dataset_yaml_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "dataset.yaml").write_text(content)
    with pytest.raises(InputError, match=message):
        read_dataset_yaml(tmp_path)


def test_a_link_to_a_folder_that_is_gone_is_told_from_a_missing_dataset_yaml(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="no such folder, or a link to one that is gone"):
        read_dataset_yaml(tmp_path / "link")


@pytest.mark.parametrize("what", ["t1ce", "seg"])
def test_two_files_of_one_stem_are_refused(write_case, tmp_path, what):
    folder = write_case(tmp_path)
    (folder / f"BraTS2021_00000_{what}.nii").touch()
    with pytest.raises(
        CaseError, match=f"_{what}.nii.gz and .*_{what}.nii both lie in .* Keep one"
    ):
        find_cases(tmp_path, "brats2021")


def test_files_one_folder_too_deep_are_refused_with_where_they_lie(write_case, tmp_path):
    folder = write_case(tmp_path / "x")
    outer = tmp_path / "data" / folder.name
    outer.mkdir(parents=True)
    folder.rename(outer / "inner")
    with pytest.raises(CaseError, match=r"found inner\. NIfTI files lie one folder deeper, in .*"):
        find_cases(tmp_path / "data", "brats2021")


def test_the_grade_is_that_of_the_nearest_folder_above(write_case, tmp_path):
    for folder in ("HGG/2018", "x/LGG", "lgg"):
        write_case(tmp_path / folder, case_id=f"BraTS2021_{len(folder):05d}")
    assert [case.grade for case in find_cases(tmp_path, "brats2021")] == ["LGG", "LGG", "HGG"]


def test_one_person_under_two_ids_is_one_patient_where_that_is_known(write_case, tmp_path):
    for number in ("00557", "00639", "00758", "00626", "00001"):
        write_case(tmp_path, "brats2021", f"BraTS2021_{number}")
    patients = {case.case_id[-5:]: case.patient_id for case in find_cases(tmp_path, "brats2021")}
    assert patients["00557"] == patients["00639"] == "BraTS2021_00639"
    assert patients["00758"] == patients["00626"] == "BraTS2021_00626"
    assert len(set(patients.values())) == 3
