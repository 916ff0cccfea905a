"""Quality control finds what must stop a case and what somebody should look at."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from src.data.layouts import find_cases
from src.data.quality import assess_case, examine_case, findings_of, inspect_folder

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (26, 26, 26)  # at 4 mm the brain's box is 88 mm
AFFINE = np.diag([-4.0, -4.0, 4.0, 1.0])


@pytest.fixture
def data(write_case, tmp_path) -> Path:
    """Three good cases."""
    for number in range(3):
        name = f"BraTS2021_0000{number}"
        write_case(tmp_path, case_id=name, seed=number, shape=SHAPE, affine=AFFINE)
    return tmp_path


def file(data, number: int, sequence: str) -> Path:
    return data / f"BraTS2021_0000{number}" / f"BraTS2021_0000{number}_{sequence}.nii.gz"


def change(path: Path, voxels=None, affine=AFFINE) -> None:
    old = np.asarray(nibabel.load(path).dataobj)
    new = (voxels(old) if voxels else old).astype(old.dtype)
    nibabel.save(nibabel.Nifti1Image(new, affine), path)


def only(data, kind="brats2021"):
    (finding,) = inspect_folder(data, kind)
    return finding


def test_good_cases_give_no_finding(data):
    assert inspect_folder(data, "brats2021") == []


def test_refused_and_incomplete_cases_are_errors_and_come_first(data):
    change(file(data, 0, "seg"), np.zeros_like)
    file(data, 1, "t2").write_bytes(b"")
    file(data, 2, "t1").unlink()
    findings = inspect_folder(data, "brats2021")
    assert [(f.case_id[-1], f.severity) for f in findings] == [
        ("1", "error"),
        ("2", "error"),
        ("0", "warning"),
    ]
    assert all(f.message.startswith(f"Case {f.case_id}") for f in findings)


def one_voxel(label):
    tiny = np.zeros_like(label)
    tiny[10, 10, 10] = 2
    return tiny


def shifted(label):
    return np.roll(label, 4, axis=0)


def test_an_empty_a_tiny_and_a_shifted_label_are_warned_of(data):
    for number, damage in enumerate((np.zeros_like, one_voxel, shifted)):
        change(file(data, number, "seg"), damage)
    empty, tiny, outside = inspect_folder(data, "brats2021")
    assert empty.message == "Case BraTS2021_00000: the label shows no tumour."
    assert tiny.message == "Case BraTS2021_00001: the tumour is tiny: 0.06 ml."
    assert "voxels of the tumour lie where all images are 0" in outside.message
    assert {f.severity for f in (empty, tiny, outside)} == {"warning"}


def geometry(data, number, affine):
    for sequence in ("t1", "t1ce", "t2", "flair", "seg"):
        change(file(data, number, sequence), affine=affine)


def test_odd_voxels_small_brains_and_odd_ones_out_are_warned_of(data):
    geometry(data, 0, np.diag([-4.0, -4.0, 4.5, 1]))
    geometry(data, 1, np.diag([-1.0, -1.0, 1.0, 1]))
    messages = "\n".join(f.message for f in inspect_folder(data, "brats2021"))
    assert "00000: expected voxel edges of 0.4 to 4 mm, found 4 x 4 x 4.5 mm" in messages
    assert (
        "00001: expected a brain of at least 80 mm along each axis, found 22 x 22 x 22" in messages
    )


def test_one_case_with_other_voxels_is_the_odd_one(data):
    geometry(data, 1, np.diag([-3.9, -3.9, 3.9, 1]))
    finding = only(data)
    assert finding.message == (
        "Case BraTS2021_00001: voxels of 3.9 x 3.9 x 3.9 mm, most others have 4 x 4 x 4 mm. "
        "Resample them to one size."
    )


def test_an_image_that_fills_its_grid_is_warned_of(data):
    def filled(voxels):
        full = voxels + np.random.default_rng(9).integers(1, 999, voxels.shape)
        full[[0, -1]] = 0
        return full

    change(file(data, 0, "t1"), filled)
    assert "is the skull removed?" in only(data).message


def copy_flair(data, source, target):
    file(data, target, "flair").write_bytes(file(data, source, "flair").read_bytes())


def test_one_person_under_two_patient_ids_is_an_error_that_names_both(data):
    copy_flair(data, 0, 2)
    finding = only(data)
    assert finding.severity == "error"
    assert finding.message.startswith(
        "Case BraTS2021_00002 (patient BraTS2021_00002) has the same image (flair) as case "
        "BraTS2021_00000 (patient BraTS2021_00000)"
    )


def test_duplicates_are_found_by_voxels_not_by_how_they_are_stored(data):
    voxels = np.asarray(nibabel.load(file(data, 0, "flair")).dataobj).astype(np.float64)
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), file(data, 2, "flair"))
    assert only(data).severity == "error"


def test_one_changed_voxel_makes_no_other_patient(data):
    copy_flair(data, 0, 2)

    def touch(voxels):
        touched = voxels.copy()
        touched[5, 5, 5] += 1
        return touched

    change(file(data, 2, "flair"), touch)
    assert only(data).severity == "error"


def test_one_scan_as_two_time_points_of_a_patient_is_a_warning(write_case, tmp_path):
    for point in ("000", "001"):
        write_case(tmp_path, "brats2023", f"BraTS-GLI-00000-{point}", shape=SHAPE, affine=AFFINE)
    assert only(tmp_path, "brats2023").severity == "warning"


def test_unlabelled_data_are_examined_too(data):
    file(data, 0, "seg").unlink()
    assert inspect_folder(data, "brats2021", labelled=False) == []
    assert only(data).severity == "error"


def test_volumes_are_in_millilitres(data):
    case = find_cases(data, "brats2021")[0]
    label = np.asarray(nibabel.load(case.label).dataobj)
    assert examine_case(case).volumes_ml == pytest.approx(
        {
            "WT": np.count_nonzero(label) * 0.064,
            "TC": np.isin(label, (1, 4)).sum() * 0.064,
            "ET": (label == 4).sum() * 0.064,
        }
    )


def test_several_processes_find_the_same_in_the_same_order(data):
    copy_flair(data, 0, 2)
    cases = find_cases(data, "brats2021")
    seen = []
    parallel = assess_case(
        cases, workers=2, progress=lambda done, total: seen.append((done, total))
    )
    assert parallel == assess_case(cases)
    assert findings_of(parallel) == findings_of(assess_case(cases))
    assert seen == [(1, 3), (2, 3), (3, 3)]


# -- between cases -------------------------------------------------------------------------------


RAS = np.array([[4.0, 0, 0, -100], [0, 4, 0, -100], [0, 0, 4, 0], [0, 0, 0, 1]])
SAVED = {
    "as float": lambda volume: volume,
    "scaled": lambda volume: volume * 1.5,
    "inverted": lambda volume: -volume,
    "scaled within the brain": lambda volume: np.where(volume, volume * 1.5 + 40, 0),
    "in 8 bits": lambda volume: np.round(volume / volume.max() * 255),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("save", SAVED.values(), ids=SAVED)
def test_a_patient_under_another_id_is_found_however_he_was_saved(data, save, turned):
    for sequence in ("t1", "t1ce", "t2", "flair", "seg"):
        volume = np.asarray(nibabel.load(file(data, 0, sequence)).dataobj).astype(np.float32)
        new = volume if sequence == "seg" else save(volume).astype(np.float32)
        image = nibabel.Nifti1Image(new[::-1, ::-1] if turned else new, RAS if turned else AFFINE)
        nibabel.save(image, file(data, 2, sequence))
    finding = only(data)
    assert finding.severity == "error"
    assert "has the same image (t1, t1ce, t2, flair) as case BraTS2021_00000" in finding.message


def test_patients_of_one_scanner_are_not_taken_for_each_other(phantom_sites):
    for folder in phantom_sites.values():
        findings = inspect_folder(folder, "phantom")
        assert not [f for f in findings if "same image" in f.message or "exchanged" in f.message]


def test_a_cavity_and_nowhere_enhancing_tumour_is_warned_of(write_case, tmp_path):
    for number in range(2):
        name = f"BraTS-GLI-0000{number}-100"
        folder = write_case(tmp_path, "brats2024", name, seed=number, shape=SHAPE, affine=AFFINE)
        change(folder / f"{name}-seg.nii.gz", lambda label: np.where(label == 3, 4, label))
    finding = only(tmp_path, "brats2024")
    assert finding.severity == "warning"
    assert "has the value 4, a cavity in brats2024, and nowhere 3, enhancing" in finding.message


def test_a_mask_of_the_whole_tumour_is_warned_of(data):
    for number in range(3):
        change(file(data, number, "seg"), lambda label: label > 0)
    finding = only(data)
    assert "the labels hold no value but 1. In brats2021: 1 core, 2 oedema" in finding.message


def test_sequences_nearly_alike_are_warned_of(data):
    def blended(voxels):
        return np.where(voxels, 0.85 * flair + 0.18 * voxels, 0)

    flair = np.asarray(nibabel.load(file(data, 0, "flair")).dataobj)
    change(file(data, 0, "t2"), blended)
    assert "t2 and flair are nearly one image (correlation 0.9" in only(data).message


def test_volumes_are_those_of_the_grid_and_not_of_its_edges(data):
    slant = AFFINE.copy()
    slant[0, 1] = 4e-3 / 1.1  # just within what is taken for a right angle
    geometry(data, 0, slant)
    case = find_cases(data, "brats2021")[0]
    voxels = np.count_nonzero(np.asarray(nibabel.load(case.label).dataobj))
    assert examine_case(case).volumes_ml["WT"] == pytest.approx(voxels * 0.064, rel=1e-9)


UNREADABLE = """
import os, sys
from pathlib import Path
from src.data.quality import inspect_folder
assert not inspect_folder(Path(sys.argv[1]), "brats2021")  # as root; now all is imported
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for finding in inspect_folder(Path(sys.argv[1]), "brats2021"):
    print(finding.severity, finding.message)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_case_folder_that_may_not_be_read_is_one_refused_case(data):
    place = Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        shutil.copytree(data, place / "data")
        (place / "data").chmod(0o755)
        (place / "data" / "BraTS2021_00001").chmod(0)
        file(place / "data", 2, "t2").chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", UNREADABLE, str(place / "data")],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
    finally:
        shutil.rmtree(place)
    assert done.stderr == ""
    folder, volume = done.stdout.splitlines()
    for text in (folder, volume):
        assert text.startswith("error Case BraTS2021_0000")
        assert "Permission denied. User 65534 may not read it. Ask its owner" in text
    assert "BraTS2021_00002_t2.nii.gz" in volume
