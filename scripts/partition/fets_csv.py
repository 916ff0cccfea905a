"""The FeTS challenge's CSV as a partition: which case belongs to which site."""

import re
from collections.abc import Collection
from pathlib import Path

from scripts.partition.site_names import in_order
from scripts.partition.strategies import FEWEST_PATIENTS, Sites, by_owner, listed
from src.data.case import CaseFiles
from src.data.clinical import plain
from src.data.table import Table, read_table
from src.errors import InputError

COLUMNS = ("Partition_ID", "Subject_ID")
LEFT_OUT = -1  # Partition_ID of the FeTS challenge's validation cases


def by_csv(
    cases: list[CaseFiles],
    path: Path,
    *,
    refused: Collection[str] = (),
    partial: bool = False,
    notes: list[str] | None = None,
) -> Sites:
    """The FeTS challenge's CSV: columns Partition_ID,Subject_ID; site n is named site-n.

    Ids are compared exactly. Rows with Partition_ID -1 are left out, with their cases.

    refused: cases that are in the data but must not be used.
    partial: rows without a case are left out, and counted in `notes`.
    InputError: the file cannot be read, other columns, a subject twice, a subject without a case or
        a case without a subject; all of it is told.
    """
    notes = [] if notes is None else notes
    table = read_table(path, COLUMNS)
    notes += table.notes
    rows, faults = _parts(table)
    known = {case.case_id for case in cases}
    placed = {subject for subject, part in rows.items() if part != LEFT_OUT}
    unknown, missing = placed - known - set(refused), known - set(rows)
    if unknown and partial:
        notes.append(f"{path}: left out {len(unknown)} of {len(placed)} rows: no such case here.")
    elif unknown:
        advice = " If only a part was downloaded: --partial." if placed - unknown else ""
        faults.append(f"{path}: no case folder for {_meant(unknown, known)}.{advice}")
    if missing and rows:
        faults.append(f"{path}: no row for the cases {_meant(missing, set(rows))}.")
    owner = {subject: f"site-{part}" for subject, part in rows.items() if part != LEFT_OUT}
    sites: Sites = {}
    try:
        sites = by_owner([case for case in cases if case.case_id in owner], owner)
    except InputError as error:
        faults.append(f"{path}: {error}")
    if faults:
        raise InputError("\n".join(faults))
    return sites


def large_enough(sites: Sites, notes: list[str]) -> Sites:
    """The sites with enough patients; the others of a partial download are left out, and told.

    InputError: none is large enough.
    """
    small = {
        name for name, own in sites.items() if len({c.patient_id for c in own}) < FEWEST_PATIENTS
    }
    if small:
        notes.append(
            f"left out, with fewer than {FEWEST_PATIENTS} patients here: "
            f"{', '.join(in_order(small))}."
        )
    if not set(sites) - small:
        raise InputError(
            f"None of the CSV's sites has {FEWEST_PATIENTS} patients among these cases. Download "
            "more of them, or use --partition round-robin."
        )
    return {name: own for name, own in sites.items() if name not in small}


def _parts(table: Table) -> tuple[dict[str, int], list[str]]:
    """(Partition_ID by Subject_ID, all faults) of a table."""
    rows: dict[str, int] = {}
    faults = list(table.faults)
    if not set(COLUMNS) <= set(table.columns):
        return rows, faults
    for line, row in table.rows:
        where = f"{table.path}, line {line}"
        subject, part = row["Subject_ID"], row["Partition_ID"]
        if not subject:
            faults.append(f"{where}: expected a Subject_ID, found none.")
        elif subject in rows:
            faults.append(f"{where}: Subject_ID {subject} stands there twice. Keep one row.")
        elif not re.fullmatch(r"-1|[0-9]{1,9}", part):
            faults.append(f"{where}: expected a Partition_ID of -1, 0, 1 …, found {part!r}.")
            rows[subject] = LEFT_OUT
        else:
            rows[subject] = int(part)
    return rows, faults


def _meant(ids: Collection[str], others: Collection[str]) -> str:
    """The ids, each with the one that it is but for letter case, blanks and underscores."""
    close = {plain(other): other for other in others}
    hints = {name: f" (meant: {close[plain(name)]}?)" for name in ids if plain(name) in close}
    return listed([f"{name}{hints.get(name, '')}" for name in ids])
