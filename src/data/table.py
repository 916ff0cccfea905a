"""Tables that people edit (CSV): read as spreadsheets write them, with every fault told at once."""

import csv
import io
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from src.errors import InputError
from src.text_file import content_of, decoded

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
MOST_FAULTS = 20  # of rows, that are told one by one


@dataclass
class Table:
    """A table and what was found about it.

    rows: (line, cells by column), without the rows whose cells are all empty.
    faults: why the file must not be used; each names file and line. The rows are there as far as
        they can be read, so that other faults can be told beside these.
    notes: how it was read, where that is not the plainest way.
    """

    path: Path
    columns: list[str] = field(default_factory=list)
    rows: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refused(self) -> InputError | None:
        """All faults in one error; None if there are none."""
        return InputError("\n".join(self.faults)) if self.faults else None


def read_table(path: Path, needed: Collection[str]) -> Table:
    """The table in a file, whose first row names the columns. OSError: it cannot be read.

    needed: columns that must be there. Nothing else is raised: see `Table.faults`.
    """
    table = Table(path)
    try:
        text, fault = decoded(content_of(path))
    except InputError as error:
        table.faults.append(str(error))
        return table
    if fault:
        table.faults.append(f"{path}: {fault}")
    text, separator = _without_first_line_of_excel(text)
    separator = separator or _separator(text, needed)
    if separator != ",":
        named = SEPARATORS.get(separator, repr(separator))
        table.notes.append(f"{path}: its cells are separated by {named}, and were read so.")
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                _take(table, lines.line_num, cells, needed)
    except csv.Error as error:
        table.faults.append(
            f"{path}, line {lines.line_num}: {error}. Is a quotation mark left open, or a cell "
            "endless?"
        )
    if not table.columns:
        table.faults.append(_no_columns(path, needed, "an empty file"))
    more = len(table.faults) - MOST_FAULTS
    if more > 0:
        table.faults[MOST_FAULTS:] = [f"{path}: and {more} more."]
    return table


def _take(table: Table, line: int, cells: list[str], needed: Collection[str]) -> None:
    """One row: the names of the columns, or the cells below them."""
    path = table.path
    if not table.columns:
        table.columns = cells
        if not set(needed) <= set(cells):
            table.faults.append(_no_columns(path, needed, ",".join(cells)))
        named = [name for name in cells if name]
        for twice in sorted({name for name in named if named.count(name) > 1}):
            table.faults.append(f"{path}: the column {twice} stands there twice. Keep one.")
        return
    beyond = cells[len(table.columns) :]
    if any(cell.strip() for cell in beyond):
        table.faults.append(
            f"{path}, line {line}: {len(cells)} cells, the first row names {len(table.columns)} "
            f"columns: what is {beyond[0]!r}? A text with a comma in it stands in quotation marks."
        )
    cells = cells + [""] * (len(table.columns) - len(cells))
    row = {name: cell for name, cell in zip(table.columns, cells, strict=False) if name}
    table.rows.append((line, row))


def _no_columns(path: Path, needed: Collection[str], found: str) -> str:
    column = "columns" if len(needed) > 1 else "column"
    return f"{path}: expected the {column} {','.join(needed)}, found {found}."


def _without_first_line_of_excel(text: str) -> tuple[str, str]:
    """(the rest, separator) where the first line is Excel's own `sep=;`; else (text, nothing)."""
    found = re.match(r"sep=(.)(\r\n|\r|\n)", text)
    return (text[found.end() :], found[1]) if found else (text, "")


def _separator(text: str, needed: Collection[str]) -> str:
    """What parts the cells of the first row, so that the needed columns are among them."""
    first = next((line for line in text.splitlines() if line.strip(" ,;\t|")), "")

    def fits(separator: str) -> tuple[int, int]:
        names = [name.strip('"') for name in first.split(separator)]
        return len(set(needed) & set(names)), len(names)

    return max(SEPARATORS, key=fits)  # of equals the first
