"""People who are in public collections under more than one id, as far as that is known.

A person who trains under one id and validates under another makes a score too good, and a budget
that is counted for each id is spent twice.
"""

# Source: UCSF-PDGM-metadata_v5.csv (Calabrese et al. 2022, doi:10.1148/ryai.220058; the Cancer
# Imaging Archive, doi:10.7937/tcia.bdgf-8v37), column "BraTS21 ID". Its scans 429 and 433 are
# BraTS2021_00639 and BraTS2021_00626, and their follow-ups 0429_FU003d and 0433_FU007d are
# BraTS2021_00557 and BraTS2021_00758, all four training cases of BraTS 2021. (298 of its 501 scans
# have a BraTS21 id; the others of those 298 are one case in either collection, and a site that has
# both knows them by their voxels.) The first id of a person is the one that counts in BraTS 2021.
PERSONS: tuple[tuple[str, ...], ...] = (
    ("BraTS2021_00639", "BraTS2021_00557", "UCSF-PDGM-0429"),
    ("BraTS2021_00626", "BraTS2021_00758", "UCSF-PDGM-0433"),
)
# FeTS 2022 and BraTS 2023 (BraTS-GLI) seem to have gone on with the numbers of BraTS 2021. That is
# inferred from the numbers alone, so it is said where such cases meet, and nothing follows from it.
INFERRED: tuple[tuple[str, ...], ...] = (
    ("FeTS2022_00639", "FeTS2022_00557"),
    ("FeTS2022_00626", "FeTS2022_00758"),
    ("BraTS-GLI-00639", "BraTS-GLI-00557"),
    ("BraTS-GLI-00626", "BraTS-GLI-00758"),
)


def aliases_within(prefix: str) -> dict[str, str]:
    """Patient id -> the id that counts, of the persons with several ids in one collection."""
    found = {}
    for person in PERSONS:
        first, *others = [name for name in person if name.startswith(prefix)]
        found |= dict.fromkeys(others, first)
    return found


def known_as(patient: str) -> frozenset[str]:
    """Every id under which this person is in some collection, the given one among them."""
    return frozenset({patient}.union(*(person for person in PERSONS if patient in person)))


def perhaps_one(patients: set[str]) -> list[str]:
    """Sentences about patients who may be one person by numbers that seem to go on."""
    return [
        f"{' and '.join(sorted(person))} may be one person: so it is with these numbers in BraTS "
        "2021 (inferred from the numbers, not known). Put them at one site, or take one away."
        for person in INFERRED
        if patients >= set(person)
    ]
