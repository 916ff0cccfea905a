"""Tables are read as spreadsheets write them; whatever is wrong is told at once, with its line."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.table import Table, read_table

NEEDED = ("case_id", "grade")


@pytest.fixture
def table(tmp_path):
    def read(content: str | bytes, needed=NEEDED) -> Table:
        path = tmp_path / "t.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_table(path, needed)

    return read


def cells(found: Table) -> list[tuple[str, ...]]:
    return [tuple(row.values()) for _, row in found.rows]


@pytest.mark.parametrize(
    "text",
    [
        "case_id,grade\na,HGG\n",
        "\ufeffcase_id,grade\r\na,HGG\r\n",
        "case_id,grade\ra,HGG\r",  # as an old Mac writes it
        '"case_id","grade"\n"a","HGG"',
        "\n\ncase_id,grade\n,,\na,HGG\n , \n,\n",
        "case_id,grade,\na,HGG,\n",
    ],
)
def test_what_spreadsheets_write_is_read_without_a_word(table, text):
    found = table(text)
    assert (cells(found), found.faults, found.notes) == ([("a", "HGG")], [], [])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("case_id;grade\na;HGG\n", "semicolons"),
        ("case_id\tgrade\na\tHGG\n", "tabs"),
        ("sep=;\r\ncase_id;grade\r\na;HGG\r\n", "semicolons"),
        ("sep=|\ncase_id|grade\na|HGG\n", "bars"),
    ],
)
def test_other_separators_are_read_and_named(table, text, named):
    found = table(text)
    assert (cells(found), found.faults) == ([("a", "HGG")], [])
    assert found.notes[0].endswith(f"t.csv: its cells are separated by {named}, and were read so.")


def test_a_comma_in_a_cell_is_no_separator(table):
    assert cells(table('case_id;grade;age\na;HGG;"63,5"\n')) == [("a", "HGG", "63,5")]


def test_an_empty_row_is_passed_over_and_lines_are_counted_as_people_count_them(table):
    assert [line for line, _ in table("case_id,grade\na,HGG\n,,\nb,LGG\n").rows] == [2, 4]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "expected the columns case_id,grade, found an empty file."),
        ("Case,Grade\na,HGG\n", "expected the columns case_id,grade, found Case,Grade."),
        ("case_id,grade\na,HGG,oops\n", "line 2: 3 cells, the first row names 2 columns"),
        ("case_id,grade,grade\na,HGG,LGG\n", "the column grade stands there twice"),
        ('case_id,grade\na,"HGG\nb,LGG\n', "line 3: .* Is a quotation mark left open"),
        ("case_id,grade\na," + "x" * 200_000, "line 2: .* a cell endless"),
        ("case_id,grade\nä,HGG\n".encode("utf-16"), "UTF-16 text"),
        ("case_id,grade\na\0,HGG\n", "NUL bytes, the first in line 2"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(table, content, fault):
    refused = str(table(content).refused())
    assert re.search(f"t.csv.*{fault}", refused), refused


def test_a_table_in_another_encoding_is_refused_and_still_examined(table):
    found = table("case_id;grade;note\na;HGG;Röntgen\n".encode("cp1252"))
    assert cells(found) == [("a", "HGG", "Röntgen")]
    assert "not UTF-8 (byte 0xf6 in line 2" in str(found.refused())
    assert "semicolons" in found.notes[0]


def test_of_many_faults_the_first_are_told_and_the_rest_counted(table):
    found = table("case_id,grade\n" + "a,b,c\n" * 50)
    assert len(found.faults) == 21
    assert found.faults[-1].endswith("and 30 more.")


@given(content=st.binary(max_size=200))
def test_no_bytes_are_too_strange(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    path.write_bytes(content)
    found = read_table(path, NEEDED)
    assert found.refused() or found.columns
