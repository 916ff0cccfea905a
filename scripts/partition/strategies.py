"""Partition: which case belongs to which site. All cases of a patient stay together.

Site names are lower case, since OpenFL's certificates lower-case them.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from src import names, require
from src.data.case import CaseFiles
from src.data.clinical import plain
from src.data.layouts import GRADES, is_debris
from src.data.table import Table, read_table
from src.errors import InputError

Sites = dict[str, list[CaseFiles]]
# Letters that are written with two elsewhere, and those that no accent can be taken from.
WRITTEN_OUT = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "ß": "ss",
        "æ": "ae",
        "ø": "oe",
        "å": "aa",
        "œ": "oe",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ı": "i",
    }
)
NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
FEWEST_PATIENTS = 2  # one to train on, one to validate
USUAL_SITES = 3
COLUMNS = ("Partition_ID", "Subject_ID")
LEFT_OUT = -1  # Partition_ID of the FeTS challenge's validation cases


def site_names(count: int) -> list[str]:
    """one, two, three … for up to ten sites, else site-01, site-02 …"""
    if count <= len(NAMES):
        return list(NAMES[:count])
    width = len(str(count))
    return [f"site-{number:0{width}d}" for number in range(1, count + 1)]


def site_name(text: str) -> str:
    """The name of a site that a folder's or an institution's name stands for.

    Whatever this makes can be enrolled (`src.names`). Umlauts are written out; a number, or a word
    of the kit's own, gets `site-` before it; what is too long is cut, and a digest of the whole
    keeps two that begin alike apart. InputError: nothing of the text is left.
    """
    latin = unicodedata.normalize("NFC", text).lower().translate(WRITTEN_OUT)
    plain = unicodedata.normalize("NFKD", latin)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not name:
        raise InputError(
            f"{text!r} cannot be made a site's name: none of its letters is one of a-z or a digit. "
            "Rename the folder."
        )
    if name[0].isdigit() or name in names.TAKEN:
        name = f"site-{name}"
    if len(name) > names.MOST_SITE:
        mark = hashlib.sha256(name.encode()).hexdigest()[:5]
        name = f"{name[: names.MOST_SITE - len(mark) - 1].rstrip('-')}-{mark}"
    return names.check_site(name)


def usual_count(cases: list[CaseFiles]) -> int:
    """How many sites to make where nobody says: three, or as many as the patients allow."""
    patients = len({case.patient_id for case in cases})
    return max(1, min(USUAL_SITES, patients // FEWEST_PATIENTS))


def round_robin(cases: list[CaseFiles], count: int, seed: int) -> Sites:
    """Patients in an order drawn with `seed`, dealt to `count` sites in turn.

    InputError: fewer patients than sites.
    """
    patients = sorted({case.patient_id for case in cases})
    require.whole("sites", count, at_least=1)
    if len(patients) < count:
        raise InputError(
            f"Expected at least {count} patients for {count} sites, found {len(patients)}. "
            "Lower --sites."
        )
    order = np.random.default_rng(seed).permutation(len(patients))
    dealt = site_names(count)
    owner = {patients[patient]: dealt[turn % count] for turn, patient in enumerate(order)}
    return _by_owner(cases, {case.case_id: owner[case.patient_id] for case in cases})


def by_folder(cases: list[CaseFiles], root: Path) -> Sites:
    """Each folder directly below `root` is a site.

    InputError: a case lies in `root` itself; the folders are grades; two fold into one name.
    """
    owner: dict[str, str] = {}
    folder_of: dict[str, str] = {}
    for case in cases:
        inside = case.folder.relative_to(root).parts
        if len(inside) < 2 or inside[0].upper() in GRADES:
            raise InputError(
                f"Case {case.case_id} lies in {case.folder.parent}: expected it in "
                f"{root}/<site>. Use --partition round-robin, or move it."
            )
        site = site_name(inside[0])
        if folder_of.setdefault(site, inside[0]) != inside[0]:
            raise InputError(
                f"Folders {folder_of[site]} and {inside[0]} of {root} would both be site {site}: "
                "site names are lower case, of letters a-z, digits and hyphens. Rename one."
            )
        owner[case.case_id] = site
    return _by_owner(cases, owner)


def folders_without_cases(cases: list[CaseFiles], root: Path) -> list[str]:
    """A sentence about folders directly below `root` that hold no case, and so are no site."""
    used = {case.folder.relative_to(root).parts[0] for case in cases}
    empty = [p.name for p in root.iterdir() if p.is_dir() and not is_debris(p.name)]
    without = sorted({*empty} - used)
    return [f"{root}: no site is made of {_listed(without)}: no case is in it."] if without else []


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
        sites = _by_owner([case for case in cases if case.case_id in owner], owner)
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


def refuse_small(sites: Sites) -> None:
    """InputError where a site has too few patients to train on one and validate on another."""
    for name, cases in sites.items():
        patients = {case.patient_id for case in cases}
        if len(patients) < FEWEST_PATIENTS:
            raise InputError(
                f"Site {name}: expected at least {FEWEST_PATIENTS} patients (one trains, one "
                f"validates), found {_listed(patients) or 'none'}. Make fewer sites or add cases."
            )


def in_order(sites: Iterable[str]) -> list[str]:
    """one, two, three … as one counts, then all other names, numbers in them by value."""

    def place(name: str) -> tuple:
        number = NAMES.index(name) if name in NAMES else len(NAMES)
        words = re.split(r"(\d+)", name)  # text and numbers by turns, text first
        return number, [int(word) if word.isdecimal() else word for word in words], name

    return sorted(sites, key=place)


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
    return _listed([f"{name}{hints.get(name, '')}" for name in ids])


def _by_owner(cases: list[CaseFiles], owner: Mapping[str, str]) -> Sites:
    sites: Sites = {}
    homes: dict[str, str] = {}
    for case in cases:
        site = owner[case.case_id]
        if homes.setdefault(case.patient_id, site) != site:
            raise InputError(
                f"Patient {case.patient_id} would be at two sites, {homes[case.patient_id]} and "
                f"{site}: training at one and validation at the other would share a person. "
                "Put all cases of a patient at one site."
            )
        sites.setdefault(site, []).append(case)
    return {name: sites[name] for name in in_order(sites)}


def _listed(ids: Collection[str]) -> str:
    shown = ", ".join(sorted(ids)[:20])
    return f"{shown} and {len(ids) - 20} more" if len(ids) > 20 else shown
