"""The clinical table of a data folder (`clinical.csv`), and whether its rows are those of cases."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from src.data.case import CaseFiles
from src.data.table import Table, read_table

FILE = "clinical.csv"
COLUMN = "case_id"
MOST_NAMED = 8
Rows = dict[str, dict[str, str]]  # by case id


@dataclass
class Clinical:
    """The rows of all clinical tables of a data set.

    faults: why they must not be used. notes: what somebody should look at.
    """

    rows: Rows = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_clinical(data: Path) -> Clinical:
    """The tables in the data set's folder and in those just below it."""
    found = Clinical()
    places: dict[str, str] = {}
    for path in (data / FILE, *sorted(data.glob(f"*/{FILE}"))):
        if path.is_file():
            _take(read_table(path, [COLUMN]), found, places)
    return found


def _take(table: Table, found: Clinical, places: dict[str, str]) -> None:
    found.faults += table.faults
    found.notes += table.notes
    for line, row in table.rows:
        where, case = f"{table.path}, line {line}", row.get(COLUMN, "")
        if COLUMN not in table.columns:
            return
        if not case.strip():
            found.faults.append(f"{where}: expected a {COLUMN}, found none.")
        elif case in places:
            found.faults.append(
                f"{where}: the case {case} has a row already ({places[case]}). Keep one."
            )
        else:
            places[case] = where
            found.rows[case] = row


def unmatched(
    clinical: Clinical, cases: Iterable[CaseFiles], refused: Collection[str] = ()
) -> list[str]:
    """Sentences about rows without a case, cases without a row, and grades that contradict."""
    cases = list(cases)
    ids = {case.case_id for case in cases} | set(refused)
    if not clinical.rows:
        return []
    notes = []
    if strange := [name for name in clinical.rows if name not in ids]:
        close = {plain(name): name for name in ids}
        shown = [
            f"{name!r}" + (f" (meant: {close[plain(name)]}?)" if plain(name) in close else "")
            for name in strange
        ]
        notes.append(f"{FILE}: rows that belong to no case here: {some(shown)}.")
    if without := sorted(ids - set(clinical.rows)):
        notes.append(f"{FILE}: cases without a row: {some(without)}.")
    for case in cases:
        said = clinical.rows.get(case.case_id, {}).get("grade", "")
        if case.grade and said and said.strip().upper() != case.grade:
            notes.append(
                f"Case {case.case_id}: it lies in {case.grade}, and its row says grade {said!r}. "
                "The folder counts."
            )
    return notes


def plain(name: str) -> str:
    """An id without what people change by accident: case, blanks, hyphens for underscores."""
    return "".join(name.split()).replace("-", "_").casefold()


def some(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
