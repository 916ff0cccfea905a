"""What looks like a case and is used by nothing is found and named."""

import os
import shutil

import pytest

from src.data.layouts import read_dataset_yaml, scan_cases
from src.data.unused import debris_in, told, unused_in
from src.errors import InputError

KIND = "brats2021"


@pytest.fixture
def data(write_case, tmp_path):
    """A data folder with two good cases."""
    for number in range(2):
        write_case(tmp_path / "data", case_id=f"BraTS2021_0000{number}")
    return tmp_path / "data"


def found(data, kind: str = KIND) -> dict[str, str]:
    cases, refused = scan_cases(data, kind)
    return {
        os.path.relpath(one.path, data): one.reason for one in unused_in(data, kind, cases, refused)
    }


def test_a_healthy_folder_has_nothing_unused(data, write_case):
    write_case(data / "HGG" / "more", case_id="BraTS2021_00007")
    (data / "readme.txt").touch()
    (data / "dataset.yaml").touch()
    (data / "notes").mkdir()
    (data / "notes" / "protocol.pdf").touch()
    assert found(data) == {}


@pytest.mark.parametrize(
    "name",
    [
        "brats2021_00009",
        "BraTS2021_00009 (1)",
        "BraTS2021_00009 ",
        "BraTS2021_00009_copy",
        "Kopie von BraTS2021_00009",
        "BraTS2021-00009",
        "BraTS2021 00009",
        "BraTS2021_000009",
        "Patient 9",
    ],
)
def test_a_case_under_another_name_is_named(data, write_case, name):
    write_case(data, case_id="BraTS2021_00009").rename(data / name)
    assert list(found(data)) == [name]
    assert "a case of kind brats2021 is called like BraTS2021_00000" in found(data)[name]


def test_an_empty_folder_that_is_almost_a_case_is_named(data):
    (data / "brats2021_00009").mkdir()
    assert list(found(data)) == ["brats2021_00009"]


def test_a_case_that_lies_too_deep_is_named(data, write_case):
    write_case(data / "a/b/c/d/e", case_id="BraTS2021_00009")
    assert "more than 4 folders down" in found(data)["a/b/c/d/e/BraTS2021_00009"]


def test_a_case_of_another_kind_is_named_with_its_kind(data, write_case):
    write_case(data, "fets2022", "FeTS2022_00009")
    assert "named like a case of kind fets2022" in found(data)["FeTS2022_00009"]


def test_archives_links_and_files_in_a_case_s_place_are_named(data):
    (data / "BraTS2021_00005.tar.gz").write_bytes(b"\x1f\x8b")
    (data / "HGG").mkdir()
    (data / "HGG" / "rest.ZIP").touch()
    (data / "BraTS2021_00006").symlink_to(data / "gone")
    (data / "BraTS2021_00007").write_text("/annex/objects/x")
    reasons = found(data)
    assert {name: reason.split()[2] for name, reason in reasons.items()} == {
        "BraTS2021_00005.tar.gz": "archive",
        "HGG/rest.ZIP": "archive",
        "BraTS2021_00006": "link",
        "BraTS2021_00007": "file,",
    }


@pytest.mark.parametrize("name", ["BraTS2021_00009_t1.nii.gz", "scan.mha", "IMG0001.dcm"])
def test_images_beside_the_cases_or_in_a_folder_of_no_case_are_named(data, name):
    (data / name).touch()
    (data / "incoming").mkdir()
    (data / "incoming" / name).touch()
    assert set(found(data)) == {".", "incoming"}


def test_a_further_volume_in_a_case_s_folder_is_named_where_a_kind_has_five(data, write_case):
    (data / "BraTS2021_00000" / "BraTS2021_00000_t1 (1).nii.gz").touch()
    assert list(found(data)) == ["BraTS2021_00000/BraTS2021_00000_t1 (1).nii.gz"]
    folder = write_case(data.parent / "ucsf", "ucsf-pdgm")
    (folder / "UCSF-PDGM-0004_ADC.nii.gz").touch()
    assert found(data.parent / "ucsf", "ucsf-pdgm") == {}


def test_a_refused_case_is_not_told_twice(data):
    (data / "BraTS2021_00001" / "BraTS2021_00001_t2.nii.gz").unlink()
    assert found(data) == {}


def test_a_link_in_a_circle_ends(data):
    (data / "self").symlink_to(data, target_is_directory=True)
    assert found(data) == {}


def test_a_folder_that_nobody_may_open_is_named_and_a_case_refused(data, write_case, as_nobody):
    shutil.copytree(data, as_nobody / "data")
    closed = write_case(as_nobody / "data" / "closed", case_id="BraTS2021_00009").parent
    case = as_nobody / "data" / "BraTS2021_00001"
    with as_nobody.closed(closed, case):
        cases, refused = scan_cases(as_nobody / "data", KIND)
        unused = unused_in(as_nobody / "data", KIND, cases, refused)
    assert [files.case_id for files in cases] == ["BraTS2021_00000"]
    assert "found: Permission denied. User" in str(refused["BraTS2021_00001"])
    assert [one.path for one in unused] == [closed]


def test_the_count_comes_first_and_then_each_sort_once(data):
    for number in range(12):
        (data / f"brats2021_000{number:02d}").mkdir()
    (data / "a.zip").touch()
    cases, _ = scan_cases(data, KIND)
    lines = told(data, unused_in(data, KIND, cases), len(cases), 1)
    assert lines[0] == f"{data}: 2 cases are used, 1 refused; used by nothing: 13."
    assert len(lines) == 3
    assert "and 4 more: is almost named like a case" in "".join(lines)


def test_what_a_mac_leaves_is_counted_and_is_no_case(data, write_case):
    assert debris_in(data) == ""
    write_case(data / "__MACOSX")
    (data / ".DS_Store").touch()
    (data / "BraTS2021_00000" / "._BraTS2021_00000_t1.nii.gz").touch()
    assert found(data) == {}
    assert debris_in(data).endswith("as a Mac has left them: 1 .DS_Store, 1 ._*, 1 __MACOSX.")


def test_another_user_s_folder_is_refused_with_whose_it_is(data, as_nobody):
    shutil.copytree(data, as_nobody / "sites" / "one")
    (as_nobody / "sites" / "one" / "dataset.yaml").write_text(f"kind: {KIND}\n")
    for closed in (as_nobody / "sites", as_nobody / "sites" / "one"):
        for read in (read_dataset_yaml, lambda folder: scan_cases(folder, KIND)):
            with as_nobody.closed(closed), pytest.raises(InputError) as error:
                read(as_nobody / "sites" / "one")
            assert f"{closed} belongs to user {closed.stat().st_uid} (mode 0)" in str(error.value)
            assert "setfacl -R -m u:" in str(error.value)
