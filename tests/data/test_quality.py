"""Quality control finds what must stop a case and what somebody should look at."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from src.data.layouts import find_cases
from src.data.quality import assess_case, examine_case, findings_of, inspect_folder

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


def test_an_image_with_its_skull_is_warned_of(data):
    change(file(data, 0, "t1"), lambda voxels: voxels + 1)
    assert "is the skull removed?" in only(data).message


def copy_flair(data, source, target):
    file(data, target, "flair").write_bytes(file(data, source, "flair").read_bytes())


def test_one_person_under_two_patient_ids_is_an_error_that_names_both(data):
    copy_flair(data, 0, 2)
    finding = only(data)
    assert finding.severity == "error"
    assert finding.message.startswith(
        "Case BraTS2021_00002 (patient BraTS2021_00002) has the same FLAIR voxels as case "
        "BraTS2021_00000 (patient BraTS2021_00000)"
    )


def test_duplicates_are_found_by_voxels_not_by_how_they_are_stored(data):
    voxels = np.asarray(nibabel.load(file(data, 0, "flair")).dataobj).astype(np.float64)
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), file(data, 2, "flair"))
    assert only(data).severity == "error"


def test_one_changed_voxel_is_another_patient(data):
    copy_flair(data, 0, 2)

    def touch(voxels):
        touched = voxels.copy()
        touched[5, 5, 5] += 1
        return touched

    change(file(data, 2, "flair"), touch)
    assert inspect_folder(data, "brats2021") == []


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
