"""Partition: which case belongs to which site. All cases of a patient stay together."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from scripts.partition.site_names import in_order, site_name, site_names
from src import require
from src.data.case import CaseFiles
from src.data.layouts import GRADES, is_debris
from src.errors import InputError

Sites = dict[str, list[CaseFiles]]
FEWEST_PATIENTS = 2  # one to train on, one to validate
USUAL_SITES = 3


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
    return by_owner(cases, {case.case_id: owner[case.patient_id] for case in cases})


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
    return by_owner(cases, owner)


def folders_without_cases(cases: list[CaseFiles], root: Path) -> list[str]:
    """A sentence about folders directly below `root` that hold no case, and so are no site."""
    used = {case.folder.relative_to(root).parts[0] for case in cases}
    empty = [p.name for p in root.iterdir() if p.is_dir() and not is_debris(p.name)]
    without = sorted({*empty} - used)
    return [f"{root}: no site is made of {listed(without)}: no case is in it."] if without else []


def refuse_small(sites: Sites) -> None:
    """InputError where a site has too few patients to train on one and validate on another."""
    for name, cases in sites.items():
        patients = {case.patient_id for case in cases}
        if len(patients) < FEWEST_PATIENTS:
            raise InputError(
                f"Site {name}: expected at least {FEWEST_PATIENTS} patients (one trains, one "
                f"validates), found {listed(patients) or 'none'}. Make fewer sites or add cases."
            )


def by_owner(cases: list[CaseFiles], owner: Mapping[str, str]) -> Sites:
    """The sites of cases by their owner, by case id. InputError: a patient would be at two."""
    sites: Sites = {}
    homes: dict[str, tuple[str, str]] = {}
    for case in cases:
        site = owner[case.case_id]
        first, other = homes.setdefault(case.patient_id, (site, case.case_id))
        if first != site:
            raise InputError(
                f"Patient {case.patient_id} would be at two sites, {first} and {site} (cases "
                f"{other} and {case.case_id}): training at one and validation at the other would "
                "share a person. Put all cases of a patient at one site."
            )
        sites.setdefault(site, []).append(case)
    return {name: sites[name] for name in in_order(sites)}


def listed(ids: Collection[str]) -> str:
    shown = ", ".join(sorted(ids)[:20])
    return f"{shown} and {len(ids) - 20} more" if len(ids) > 20 else shown
