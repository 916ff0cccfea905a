"""Partition: which case belongs to which site. All cases of a patient stay together.

Site names are lower case, since OpenFL's certificates lower-case them.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from src.data.case import CaseFiles

Sites = dict[str, list[CaseFiles]]
NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def site_names(count: int) -> list[str]:
    """one, two, three … for up to ten sites, else site-01, site-02 …"""
    if count <= len(NAMES):
        return list(NAMES[:count])
    width = len(str(count))
    return [f"site-{number:0{width}d}" for number in range(1, count + 1)]


def round_robin(cases: list[CaseFiles], count: int, seed: int) -> Sites:
    """Patients in an order drawn with `seed`, dealt to `count` sites in turn.

    ValueError: fewer than two patients a site.
    """
    patients = sorted({case.patient_id for case in cases})
    if len(patients) < 2 * count:
        raise ValueError(
            f"{count} sites need at least {2 * count} patients (each trains and validates), "
            f"found {len(patients)}. Lower --sites."
        )
    order = np.random.default_rng(seed).permutation(len(patients))
    names = site_names(count)
    owner = {patients[patient]: names[turn % count] for turn, patient in enumerate(order)}
    return _by_owner(cases, {case.case_id: owner[case.patient_id] for case in cases})


def by_folder(cases: list[CaseFiles], root: Path) -> Sites:
    """Each folder directly below `root` is a site. ValueError: a case lies in `root` itself."""
    owner = {}
    for case in cases:
        inside = case.sequences["t1"].parent.relative_to(root).parts
        if len(inside) < 2:
            raise ValueError(
                f"Case {case.case_id} lies directly in {root}: expected {root}/<site>/"
                f"{case.case_id}. Use --partition round-robin, or move it."
            )
        owner[case.case_id] = site_name(inside[0])
    return _by_owner(cases, owner)


def by_csv(cases: list[CaseFiles], path: Path) -> Sites:
    """The FeTS challenge's CSV: columns Partition_ID,Subject_ID; partition -1 is left out.

    ValueError: other columns, a subject without a case, or a case without a subject.
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"Partition_ID", "Subject_ID"} <= set(reader.fieldnames or ()):
            raise ValueError(
                f"{path}: expected the columns Partition_ID,Subject_ID, found {reader.fieldnames}."
            )
        rows = {row["Subject_ID"]: row["Partition_ID"] for row in reader}
    known = {case.case_id for case in cases}
    for missing, what in (
        (set(rows) - known, "have no case folder"),
        (known - set(rows), "are in no row"),
    ):
        if missing:
            listed = ", ".join(sorted(missing)[:5])
            raise ValueError(f"{path}: {len(missing)} subjects {what}: {listed} …")
    owner = {name: site_name(f"site-{part}") for name, part in rows.items() if part != "-1"}
    return _by_owner([case for case in cases if case.case_id in owner], owner)


def site_name(text: str) -> str:
    """A name that certificates can carry: [a-z0-9-]. ValueError: nothing of the text is left."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not name:
        raise ValueError(f"{text!r} cannot be made a site name: use letters, digits and hyphens.")
    return name


def _by_owner(cases: list[CaseFiles], owner: Mapping[str, str]) -> Sites:
    sites: Sites = {}
    homes: dict[str, str] = {}
    for case in cases:
        site = owner[case.case_id]
        if homes.setdefault(case.patient_id, site) != site:
            raise ValueError(
                f"Patient {case.patient_id} would be at two sites, {homes[case.patient_id]} and "
                f"{site}: training at one and validation at the other would share a person. "
                "Put all time points of a patient at one site."
            )
        sites.setdefault(site, []).append(case)
    return {name: sites[name] for name in in_order(sites)}


def in_order(names: Iterable[str]) -> list[str]:
    """one, two, three … as one counts, then all other names by alphabet."""
    return sorted(names, key=lambda n: (NAMES.index(n) if n in NAMES else len(NAMES), n))
