"""Phantoms as files: what is written reads back as a case of its kind."""

import csv

import nibabel
import numpy as np
import pytest

from scripts.partition.phantom_files import CASE_NAMES, write_site
from src.data.case import read_case
from src.data.layouts import find_cases, read_dataset_yaml
from src.data.phantom import brats_affine
from src.data.phantom_site import SITES
from src.errors import InputError

SMALL = {"site": SITES[0], "cases": 2, "seed": 0, "shape": (24, 24, 24), "spacing_mm": 7.0}


@pytest.mark.parametrize("kind", CASE_NAMES)
def test_each_kind_reads_back_by_its_own_names_and_labels(tmp_path, kind):
    write_site(tmp_path / "site", kind=kind, **SMALL)
    dataset = read_dataset_yaml(tmp_path / "site")
    assert (dataset.kind, dataset.synthetic) == (kind, True)
    cases = [read_case(files) for files in find_cases(tmp_path / "site", kind)]
    assert len(cases) == 2
    assert all(case.case_id.startswith("Phantom") for case in cases)
    for case in cases:
        whole, core, enhancing = case.regions.astype(bool)
        assert whole.any()
        assert (enhancing <= core).all()
        assert (core <= whole).all()
        assert case.spacing_mm == (7, 7, 7)


def test_grade_folders_are_those_of_2018(tmp_path):
    write_site(tmp_path / "site", kind="brats2018", **SMALL | {"cases": 4})
    grades = {files.grade for files in find_cases(tmp_path / "site", "brats2018")}
    assert grades <= {"HGG", "LGG"}
    assert grades


def test_headers_are_those_of_brats(tmp_path):
    write_site(tmp_path / "site", **SMALL)
    image = nibabel.load(tmp_path / "site" / "Phantom_00000" / "Phantom_00000_t1.nii.gz")
    label = nibabel.load(tmp_path / "site" / "Phantom_00000" / "Phantom_00000_seg.nii.gz")
    assert image.get_data_dtype() == np.int16
    assert label.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(image.affine, brats_affine((24, 24, 24), 7.0))
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")


def test_the_clinical_table_has_a_row_for_each_case(tmp_path):
    write_site(tmp_path / "site", **SMALL | {"cases": 5})
    with (tmp_path / "site" / "clinical.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["case_id"] for row in rows] == [f"Phantom_{i:05d}" for i in range(5)]
    for row in rows:
        assert 19 <= float(row["age"]) <= 88
        assert row["sex"] in "MF"
        assert 40 <= int(row["kps"]) <= 100
        assert bool(row["survival_days"]) == (row["grade"] == "HGG")


def test_a_patient_depends_on_seed_site_and_number_alone(tmp_path):
    write_site(tmp_path / "few", **SMALL | {"cases": 1})
    write_site(tmp_path / "more", **SMALL)
    name = "Phantom_00000/Phantom_00000_flair.nii.gz"
    few, more = (nibabel.load(tmp_path / folder / name).get_fdata() for folder in ("few", "more"))
    np.testing.assert_array_equal(few, more)


def test_a_failure_leaves_no_half_written_site(tmp_path):
    def full_disk(done, total):
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_site(tmp_path / "site", **SMALL, progress=full_disk)
    assert not (tmp_path / "site").exists()


def test_an_existing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="exists"):
        write_site(tmp_path, **SMALL)


def test_a_kind_without_phantoms_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="No phantoms of kind 'msd'"):
        write_site(tmp_path / "site", kind="msd", **SMALL)
