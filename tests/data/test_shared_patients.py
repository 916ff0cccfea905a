"""People under several ids of public collections: known ones are one, inferred ones are told."""

import pytest

from src.data.kinds import KINDS
from src.data.layouts import find_cases
from src.data.shared_patients import INFERRED, PERSONS, known_as, perhaps_one
from src.data.site_cases import SiteCases
from src.data.split import SPLITS

PATCHES = {"template": "src.data.patches.Patches", "settings": {"size": [8, 8, 8]}}


def test_every_known_id_is_a_patient_of_a_kind_in_the_table():
    for name in (name for person in (*PERSONS, *INFERRED) for name in person):
        fitting = [
            kind
            for kind in KINDS.values()
            if any(kind.patient_of_folder(name + end) for end in ("", "-000", "_nifti"))
        ]
        assert fitting, name


def test_a_person_is_known_by_every_id_in_every_collection():
    everything = {"BraTS2021_00639", "BraTS2021_00557", "UCSF-PDGM-0429"}
    assert all(known_as(name) == everything for name in everything)
    assert known_as("BraTS2021_00001") == {"BraTS2021_00001"}


@pytest.mark.parametrize("split", sorted(SPLITS))
@pytest.mark.parametrize("seed", range(6))
def test_no_person_is_on_both_sides_of_a_split(write_case, tmp_path, split, seed):
    for number in ("00557", "00639", "00758", "00626", "00001", "00002", "00003", "00004"):
        write_case(tmp_path, "brats2021", f"BraTS2021_{number}")
    sides = SPLITS[split](find_cases(tmp_path, "brats2021"), 0.5, seed)
    train, validation = ({case.case_id[-5:] for case in side} for side in sides)
    for person in ({"00557", "00639"}, {"00758", "00626"}):
        assert person <= train or person <= validation


def test_the_ledger_s_ids_of_a_person_are_the_same_whichever_case_a_site_has(write_case, tmp_path):
    found = []
    for kind, case in (("brats2021", "BraTS2021_00557"), ("ucsf-pdgm", "UCSF-PDGM-0429_FU003d")):
        folder = tmp_path / kind
        write_case(folder, kind, case)
        write_case(folder, kind, {"brats2021": "BraTS2021_00001"}.get(kind, "UCSF-PDGM-0004"))
        site = SiteCases(str(folder), patches=PATCHES, kind=kind, cache=str(tmp_path / "cache"))
        parts = [site.identifiers("training"), site.identifiers("validation")]
        found.append({name for part in parts for name in part if name.startswith("id ")})
    assert found[0] & found[1] == {f"id {name}" for name in known_as("UCSF-PDGM-0429")}


def test_what_is_only_inferred_makes_a_sentence_and_no_patient():
    assert perhaps_one({"FeTS2022_00557", "FeTS2022_00639", "FeTS2022_00001"})[0].startswith(
        "FeTS2022_00557 and FeTS2022_00639 may be one person"
    )
    assert perhaps_one({"FeTS2022_00557", "FeTS2022_00001"}) == []
    assert KINDS["fets2022"].patient_of_folder("FeTS2022_00557") == "FeTS2022_00557"
