"""The rows of clinical.csv are those of the cases, or it is said whose are not."""

import re

import pytest

from src.data.clinical import read_clinical, unmatched
from src.data.layouts import find_cases


@pytest.fixture
def data(write_case, tmp_path):
    for grade, number in (("HGG", 0), ("LGG", 1), ("other", 2)):
        write_case(tmp_path / grade, case_id=f"BraTS2021_0000{number}")
    return tmp_path


def notes_on(data, *rows: str) -> list[str]:
    (data / "clinical.csv").write_text("\n".join(["case_id,grade", *rows]) + "\n")
    return unmatched(read_clinical(data), find_cases(data, "brats2021"), {"BraTS2021_00009"})


ALL = [f"BraTS2021_0000{number},{grade}" for number, grade in enumerate(("HGG", "lgg", ""))]


def test_a_row_for_each_case_is_no_news(data):
    assert notes_on(data, *ALL, "BraTS2021_00009,HGG") == []
    (data / "clinical.csv").unlink()
    assert unmatched(read_clinical(data), find_cases(data, "brats2021")) == []


def test_a_row_that_fits_nothing_is_named_with_the_case_that_it_may_mean(data):
    notes = notes_on(data, "brats2021_00000,HGG", "BraTS2021-00001 ,LGG", "x,HGG", *ALL[2:])
    assert "'brats2021_00000' (meant: BraTS2021_00000?)" in notes[0]
    assert "'BraTS2021-00001 ' (meant: BraTS2021_00001?), 'x'." in notes[0]
    assert "cases without a row: BraTS2021_00000, BraTS2021_00001, BraTS2021_00009" in notes[1]


def test_many_of_them_are_counted(data):
    assert "and 22 more." in notes_on(data, *ALL, *(f"x{number},HGG" for number in range(30)))[0]


def test_a_grade_that_contradicts_the_folder_is_named(data):
    notes = notes_on(data, "BraTS2021_00000,LGG", *ALL[1:], "BraTS2021_00009,")
    assert notes == [
        "Case BraTS2021_00000: it lies in HGG, and its row says grade 'LGG'. The folder counts."
    ]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([*ALL, "BraTS2021_00000,LGG"], "line 5: the case BraTS2021_00000 has a row already"),
        (["BraTS2021_00000,HGG", "BraTS2021_00000,HGG"], r"\(.*line 2\)\. Keep one"),
        ([",HGG"], "line 2: expected a case_id, found none"),
        (["BraTS2021_00000,HGG,oops"], "3 cells"),
    ],
)
def test_rows_that_cannot_be_used_are_faults(data, rows, fault):
    notes_on(data, *rows)
    (found,) = read_clinical(data).faults
    assert re.search(fault, found), found


def test_tables_of_two_folders_are_one_and_share_no_case(data):
    for folder in ("HGG", "LGG"):
        (data / folder / "clinical.csv").write_text(f"case_id,grade\n{ALL[0]}\n{folder},x\n")
    found = read_clinical(data)
    assert set(found.rows) == {"BraTS2021_00000", "HGG", "LGG"}
    assert len(found.faults) == 1
