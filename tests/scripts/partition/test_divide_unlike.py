"""`prepare --partition` with strategies that make sites unlike, on real files."""

import json
import shutil

import pytest

from scripts.partition.divide import divide, site_folders
from scripts.partition.made import NUMBERS, PICTURE, keep_summary
from scripts.partition.phantom_files import write_site
from src.data.layouts import find_cases
from src.data.phantom_site import site_for
from src.errors import InputError

SIZE = {"shape": (32, 32, 32), "spacing_mm": 5.5}


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """12 patients of two scanners in one folder, with one clinical table."""
    root = tmp_path_factory.mktemp("pool")
    for index in (0, 4):
        part = root / f"part{index}"
        write_site(part, site=site_for(index), cases=6, seed=3, first=100 * index, **SIZE)
        for case in part.glob("Phantom*"):
            case.rename(root / case.name)
        table = (part / "clinical.csv").read_text(encoding="utf-8")
        with (root / "clinical.csv").open("a", encoding="utf-8") as file:
            file.write(table if index == 0 else table.partition("\n")[2])
        shutil.copy2(part / "dataset.yaml", root)
        shutil.rmtree(part)
    return root


def sites_by(pool, out, partition, **settings):
    made = divide(out, data=pool, kind=None, seed=1, partition=partition, **settings)
    folders = site_folders(out)
    ids = {name: {c.case_id for c in find_cases(f, "phantom")} for name, f in folders.items()}
    return made, ids


@pytest.mark.parametrize(
    "partition", ["volume", "age", "scanner", "quantity:1", "quantity:8,4", "dirichlet:age:2"]
)
def test_every_case_is_in_one_site_folder(pool, tmp_path, partition):
    made, ids = sites_by(pool, tmp_path / "out", partition, sites=2)
    assert sorted(name for own in ids.values() for name in own) == sorted(
        path.name for path in pool.glob("Phantom*")
    )
    assert [site.patients for site in made.sites] == [len(own) for own in ids.values()]
    assert sites_by(pool, tmp_path / "again", partition, sites=2)[1] == ids


def test_sites_by_volume_ascend_in_the_table(pool, tmp_path):
    made, _ = sites_by(pool, tmp_path / "out", "volume", sites=3)
    means = [site.volumes_ml["WT"] for site in made.sites]
    assert means == sorted(means)
    assert made.distances["volume"].mean > 1.5 * made.distances["volume"].floor


def test_each_scanner_is_a_site(pool, tmp_path):
    made, ids = sites_by(pool, tmp_path / "out", "scanner", sites=2)
    assert {frozenset(int(name[-5:]) // 100 for name in own) for own in ids.values()} == {
        frozenset({0}),
        frozenset({4}),
    }
    assert made.distances["scanner"].mean == 1.0


def test_given_numbers_say_how_many_sites_there_are(pool, tmp_path):
    _, ids = sites_by(pool, tmp_path / "out", "quantity:6,4,2", sites=None)
    assert [len(own) for own in ids.values()] == [6, 4, 2]


def test_what_the_sites_got_lies_beside_them_without_a_patient_in_it(pool, tmp_path):
    out = tmp_path / "out"
    sites_by(pool, out, "age", sites=2)
    numbers = json.loads((out / NUMBERS).read_text(encoding="utf-8"))
    assert (numbers["partition"], numbers["seed"]) == ("age", 1)
    assert [site["patients"] for site in numbers["sites"]] == [6, 6]
    assert numbers["sites"][0]["median_age"] < numbers["sites"][1]["median_age"]
    assert set(numbers["distances"]) == {"volume", "grade", "age", "scanner"}
    assert "Phantom_" not in (out / NUMBERS).read_text(encoding="utf-8")
    assert (out / PICTURE).read_bytes().startswith(b"\x89PNG")
    keep_summary(site_folders(out).values(), tmp_path)
    assert (tmp_path / NUMBERS).read_bytes() == (out / NUMBERS).read_bytes()


def test_a_property_that_nobody_knows_is_refused_and_nothing_is_written(pool, tmp_path):
    without = tmp_path / "without"
    shutil.copytree(pool, without)
    (without / "clinical.csv").unlink()
    with pytest.raises(InputError, match="12 of 12 patients have none: Phantom_00000"):
        sites_by(without, tmp_path / "out", "age", sites=2)
    assert not (tmp_path / "out").exists()


def test_more_sites_than_the_patients_allow_are_refused(pool, tmp_path):
    with pytest.raises(InputError, match="at least 14 patients for 7 sites, found 12"):
        sites_by(pool, tmp_path / "out", "volume", sites=7)


def test_a_word_that_is_no_partition_is_refused_with_those_that_are(pool, tmp_path):
    with pytest.raises(InputError, match=r"expected round-robin, folder, volume, grade.*'vol'"):
        sites_by(pool, tmp_path / "out", "vol", sites=2)
