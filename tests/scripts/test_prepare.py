"""`prepare`: site folders come to be whole and checked, or not at all."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from scripts.partition.preparation import make_phantoms, prepare_sites, site_folders
from scripts.prepare import prepare
from src.data.case import SEQUENCES, read_case
from src.data.layouts import Dataset, find_cases, read_dataset_yaml, write_dataset_yaml
from src.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
AFFINE = np.diag([-4.0, -4.0, 4.0, 1.0])


def write_case(root: Path, case_id: str, seed: int = 0) -> Path:
    """A brats2021 case of random voxels in a brain of 88 mm."""
    folder = root / case_id
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, *case_id.encode()])
    brain = np.zeros((26, 26, 26), np.int16)
    brain[2:-2, 2:-2, 2:-2] = 1
    for name in (*SEQUENCES, "seg"):
        voxels = rng.choice([0, 1, 2, 4], brain.shape) if name == "seg" else brain.copy()
        voxels = voxels * brain * (1 if name == "seg" else rng.integers(1, 999, brain.shape))
        image = nibabel.Nifti1Image(voxels.astype(np.int16), AFFINE)
        nibabel.save(image, folder / f"{case_id}_{name}.nii.gz")
    return folder


@pytest.fixture
def data(tmp_path) -> Path:
    """Seven cases with clinical rows for six of them."""
    folder = tmp_path / "data"
    names = [f"BraTS2021_0000{number}" for number in range(7)]
    for name in names:
        write_case(folder, name)
    rows = [f"{name},{40 + row},HGG" for row, name in enumerate(names[:6])]
    (folder / "clinical.csv").write_text("\n".join(["case_id,age,grade", *rows]) + "\n")
    return folder


def ids(folder: Path) -> set[str]:
    return {case.case_id for case in find_cases(folder, read_dataset_yaml(folder).kind)}


def nothing_but(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_every_case_is_at_one_site_as_a_link_that_can_be_read(data, tmp_path):
    prepare_sites(tmp_path / "out", data=data, kind="brats2021", sites=3, seed=1)
    sites = site_folders(tmp_path / "out")
    assert list(sites) == ["one", "two", "three"]
    assert sorted(case for folder in sites.values() for case in ids(folder)) == sorted(
        path.name for path in data.iterdir() if path.is_dir()
    )
    for folder in sites.values():
        assert read_dataset_yaml(folder) == Dataset("brats2021", synthetic=False)
        for files in find_cases(folder, "brats2021"):
            assert files.folder.is_symlink()
            assert read_case(files).regions is not None


def test_the_table_counts_what_is_there(data, tmp_path):
    made = prepare_sites(tmp_path / "out", data=data, kind="brats2021", sites=2)
    assert [(site.name, site.patients, site.cases) for site in made.sites] == [
        ("one", 4, 4),
        ("two", 3, 3),
    ]
    grades = [site.grades for site in made.sites]
    assert sum(grade["HGG"] for grade in grades) == 6
    assert sum(grade.get("unknown", 0) for grade in grades) == 1
    assert made.findings == []
    one = find_cases(tmp_path / "out" / "one", "brats2021")
    mean = np.mean([read_case(files).regions[0].sum() for files in one]) * 0.064
    assert made.sites[0].volumes_ml["WT"] == pytest.approx(mean)


def test_clinical_rows_follow_their_cases(data, tmp_path):
    prepare_sites(tmp_path / "out", data=data, kind="brats2021", sites=2)
    found = {}
    for folder in site_folders(tmp_path / "out").values():
        with (folder / "clinical.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["case_id"] for row in rows} <= ids(folder)
        found |= {row["case_id"]: row["age"] for row in rows}
    assert found == {f"BraTS2021_0000{number}": str(40 + number) for number in range(6)}


def test_copies_hold_only_what_is_used_and_outlive_the_source(data, tmp_path):
    (data / "BraTS2021_00000" / "letter_to_the_patient.pdf").touch()
    prepare_sites(tmp_path / "out", data=data, kind="brats2021", sites=1, copy=True)
    os.rename(data, tmp_path / "gone")  # noqa: PTH104
    cases = find_cases(tmp_path / "out" / "one", "brats2021")
    assert len(cases) == 7
    assert all(read_case(files).regions is not None for files in cases)
    assert not list((tmp_path / "out").rglob("*.pdf"))


def test_grades_stay_upper_folders(data, tmp_path):
    for number, grade in enumerate(("HGG", "HGG", "LGG")):
        name = f"BraTS2021_0000{number}"
        (data / grade).mkdir(exist_ok=True)
        (data / name).rename(data / grade / name)
    made = prepare_sites(tmp_path / "out", data=data, kind="brats2021", sites=1)
    assert made.sites[0].grades == {"HGG": 5, "LGG": 1, "unknown": 1}
    assert (tmp_path / "out" / "one" / "LGG" / "BraTS2021_00002").is_symlink()


def test_sites_can_be_the_folders_of_the_data(data, tmp_path):
    for number in range(7):
        name = f"BraTS2021_0000{number}"
        site = data / ("Site A" if number < 4 else "B")
        site.mkdir(exist_ok=True)
        (data / name).rename(site / name)
    prepare_sites(tmp_path / "out", data=data, kind="brats2021", partition="folder")
    assert {name: len(ids(folder)) for name, folder in site_folders(tmp_path / "out").items()} == {
        "b": 3,
        "site-a": 4,
    }


def test_sites_can_come_from_the_fets_csv(data, tmp_path):
    rows = [f"{number // 3 + 1},BraTS2021_0000{number}" for number in range(6)]
    table = tmp_path / "partitioning.csv"
    table.write_text("\n".join(["Partition_ID,Subject_ID", *rows, "-1,BraTS2021_00006"]) + "\n")
    prepare_sites(tmp_path / "out", data=data, kind="brats2021", partition=str(table))
    sites = site_folders(tmp_path / "out")
    assert {name: len(ids(folder)) for name, folder in sites.items()} == {"site-1": 3, "site-2": 3}


def test_one_bad_case_refuses_all_and_every_error_is_listed(data, tmp_path):
    (data / "BraTS2021_00001" / "BraTS2021_00001_t2.nii.gz").write_bytes(b"\x1f\x8b")
    (data / "BraTS2021_00002" / "BraTS2021_00002_seg.nii.gz").unlink()
    flair = "BraTS2021_0000{0}/BraTS2021_0000{0}_flair.nii.gz"
    (data / flair.format(4)).write_bytes((data / flair.format(3)).read_bytes())
    with pytest.raises(InputError, match="3 of 7 cases are refused, nothing was written") as error:
        prepare_sites(tmp_path / "out", data=data, kind="brats2021", sites=2)
    lines = str(error.value).splitlines()
    assert len(lines) == 7
    assert "00001_t2.nii.gz: the file is damaged" in lines[1]
    assert "expected BraTS2021_00002_seg" in lines[2]
    assert "has the same image (flair) as case" in lines[3]
    assert "cases without a row: BraTS2021_00006" in lines[5]
    assert "--skip-bad" in lines[6]
    assert nothing_but(tmp_path, "data")


def test_when_no_case_is_whole_the_reason_is_told_and_not_the_lack_of_patients(data, tmp_path):
    for label in data.rglob("*_seg.nii.gz"):
        label.unlink()
    with pytest.raises(InputError, match="7 of 7 cases are refused") as error:
        prepare_sites(tmp_path / "out", data=data, kind="brats2021", sites=3)
    assert str(error.value).count("_seg (.nii or .nii.gz)") == 7


@pytest.mark.parametrize("seed", [0, 1])
def test_of_duplicates_the_first_by_name_stays_wherever_the_patients_go(data, tmp_path, seed):
    flair = "BraTS2021_0000{0}/BraTS2021_0000{0}_flair.nii.gz"
    (data / flair.format(4)).write_bytes((data / flair.format(3)).read_bytes())
    settings = {"data": data, "kind": "brats2021", "sites": 2, "seed": seed, "skip_bad": True}
    made = prepare_sites(tmp_path / "out", **settings)
    assert [finding.case_id for finding in made.findings] == ["BraTS2021_00004"]


def test_bad_cases_are_left_out_where_that_is_asked_for(data, tmp_path):
    (data / "BraTS2021_00001" / "BraTS2021_00001_t2.nii.gz").write_bytes(b"\x1f\x8b")
    made = prepare_sites(tmp_path / "out", data=data, kind="brats2021", sites=2, skip_bad=True)
    assert sum(site.cases for site in made.sites) == 6
    assert [finding.case_id for finding in made.findings] == ["BraTS2021_00001"]
    everyone = [ids(folder) for folder in site_folders(tmp_path / "out").values()]
    assert "BraTS2021_00001" not in set().union(*everyone)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": None}, r"--kind is missing.*one of brats2018"),
        ({"kind": "brats1999"}, "kind must be one of"),
        ({"kind": "brats2023"}, "folders there are named like brats2021"),
        ({"sites": 8}, "at least 8 patients for 8 sites, found 7"),
        ({"sites": 6}, "expected at least 2 patients"),
        ({"partition": "folder"}, "--partition folder says which sites there are; leave --sites"),
        (
            {"partition": "nowhere.csv", "sites": None},
            "round-robin, folder, volume, .* or a CSV file",
        ),
        ({"data": None}, "--data is missing"),
        ({"kind": "phantom"}, "expected case folders of kind phantom"),
    ],
)
def test_what_cannot_be_done_is_refused_and_leaves_nothing(data, tmp_path, settings, message):
    wanted = {"data": data, "kind": "brats2021", "sites": 2} | settings
    with pytest.raises(InputError, match=message):
        prepare_sites(tmp_path / "out", **wanted)
    assert nothing_but(tmp_path, "data")


def test_an_existing_out_is_never_touched(data, tmp_path):
    (tmp_path / "out").mkdir()
    for kind in ("brats2021", "phantom"):
        source = None if kind == "phantom" else data
        with pytest.raises(InputError, match="Name another --out"):
            prepare_sites(tmp_path / "out", data=source, kind=kind)
    assert nothing_but(tmp_path / "out")


def test_a_disk_that_fills_up_leaves_nothing(data, tmp_path, monkeypatch):
    def full_disk(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("shutil.copy2", full_disk)
    with pytest.raises(OSError, match="No space"):
        prepare_sites(tmp_path / "out", data=data, kind="brats2021", sites=2, copy=True)
    assert nothing_but(tmp_path, "data")


def test_dataset_yaml_gives_the_kind_and_synthetic_stays_synthetic(data, tmp_path):
    write_dataset_yaml(data, Dataset("brats2021", synthetic=True))
    prepare_sites(tmp_path / "out", data=data, sites=2)
    prepare_sites(tmp_path / "again", data=tmp_path / "out", partition="folder")
    for folder in site_folders(tmp_path / "again").values():
        assert read_dataset_yaml(folder) == Dataset("brats2021", synthetic=True)
    with pytest.raises(
        InputError, match=r"--kind says fets2022, dataset.yaml there says brats2021"
    ):
        prepare_sites(tmp_path / "no", data=data, kind="fets2022")


def test_site_folders_knows_what_prepare_made(data, tmp_path):
    assert site_folders(data) == {}
    with pytest.raises(InputError, match="no such folder"):
        site_folders(tmp_path / "nowhere")


def test_progress_is_told_case_by_case(data, tmp_path):
    told = []
    prepare_sites(
        tmp_path / "out", data=data, kind="brats2021", sites=2, tell=lambda *now: told.append(now)
    )
    assert told == [(done, 7) for done in range(1, 8)]


def test_phantom_sites_hold_the_numbers_asked_for_and_say_that_they_are_synthetic(tmp_path):
    made = make_phantoms(tmp_path / "out", None, "3,2", seed=0, size=16, spacing_mm=11)
    assert [(site.name, site.cases) for site in made.sites] == [("one", 3), ("two", 2)]
    sites = site_folders(tmp_path / "out")
    assert [len(ids(folder)) for folder in sites.values()] == [3, 2]
    assert all(read_dataset_yaml(folder).synthetic for folder in sites.values())
    assert not ids(sites["one"]) & ids(sites["two"])
    assert nothing_but(tmp_path, "out")


@pytest.mark.parametrize(
    ("cases", "sites", "message"),
    [
        ("1", 2, "a number from 2"),
        ("1001", 2, "to 1000"),
        ("many", 2, "found 'many'"),
        ("4,,4", 3, "found '4,,4'"),
        ("4,4", 3, "gives 2 numbers for 3 sites"),
    ],
)
def test_a_wrong_number_of_phantoms_is_refused(tmp_path, cases, sites, message):
    with pytest.raises(InputError, match=message):
        make_phantoms(tmp_path / "out", sites, cases, 0)
    assert nothing_but(tmp_path)


@pytest.mark.parametrize("wrong", [{"size": 8}, {"spacing_mm": 0.0}])
def test_phantoms_of_no_size_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=r"--(size|spacing) must be"):
        make_phantoms(tmp_path / "out", 2, "2", 0, **wrong)


def test_phantoms_that_are_no_patients_leave_nothing(tmp_path):
    with pytest.raises(InputError, match=r"no usable patients. Change --size or --spacing"):
        make_phantoms(tmp_path / "out", 2, "2", seed=0, size=16, spacing_mm=400)
    assert nothing_but(tmp_path)


def test_the_verb_shows_the_sites_and_the_next_command(data, tmp_path):
    out = tmp_path / "out"
    arguments = ["--data", str(data), "--kind", "brats2021", "--sites", "2", "--out", str(out)]
    shown = CliRunner().invoke(prepare, arguments, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "one" in shown.output
    assert f"-m scripts simulate --data {out}" in shown.output


def test_the_verb_needs_out(data):
    shown = CliRunner().invoke(prepare, ["--data", str(data)])
    assert shown.exit_code == 2
    assert "--out is missing" in shown.output


def as_fets(data: Path, *rows: str) -> str:
    table = data.parent / "partitioning.csv"
    table.write_text("\n".join(["Partition_ID,Subject_ID", *rows]) + "\n")
    return str(table)


def test_of_a_partial_download_the_cases_that_are_here_are_used_if_asked(data, tmp_path):
    rows = [f"{number // 3 + 1},BraTS2021_0000{number}" for number in range(7)]
    rows += [f"{number % 23 + 1},BraTS2021_{number + 7:05d}" for number in range(1244)]
    settings = {"data": data, "kind": "brats2021", "partition": as_fets(data, *rows)}
    with pytest.raises(InputError, match=r"and 1224 more\. If only a part was .*: --partial"):
        prepare_sites(tmp_path / "out", **settings)
    made = prepare_sites(tmp_path / "out", **settings, partial=True)
    assert [(site.name, site.cases) for site in made.sites] == [("site-1", 3), ("site-2", 3)]
    assert any("left out 1244 of 1251 rows" in note for note in made.notes)
    assert any("fewer than 2 patients here: site-3." in note for note in made.notes)


def test_a_partial_download_excuses_no_case_without_a_row(data, tmp_path):
    rows = [f"1,BraTS2021_0000{number}" for number in range(6)] + ["1,brats2021_00006"]
    settings = {"data": data, "kind": "brats2021", "partition": as_fets(data, *rows)}
    with pytest.raises(InputError, match=r"no row .* BraTS2021_00006 \(meant: brats2021_00006\?"):
        prepare_sites(tmp_path / "out", **settings, partial=True)
    with pytest.raises(InputError, match="--partial goes with --partition FILE"):
        prepare_sites(tmp_path / "out", **settings | {"partition": "folder"}, partial=True)


def test_a_folder_of_a_site_without_cases_is_named(data, tmp_path):
    for number in range(7):
        site = data / ("A" if number < 4 else "B")
        site.mkdir(exist_ok=True)
        (data / f"BraTS2021_0000{number}").rename(site / f"BraTS2021_0000{number}")
    (data / "C").mkdir()
    made = prepare_sites(tmp_path / "out", data=data, kind="brats2021", partition="folder")
    assert any("no site is made of C: no case is in it" in note for note in made.notes)


def test_the_first_run_names_everything_that_is_wrong_with_a_data_set(data, tmp_path):
    case = {number: data / f"BraTS2021_0000{number}" for number in range(7)}
    for number in range(10, 14):
        write_case(data, f"BraTS2021_000{number}")
    odd = ["brats2021_00010", "BraTS2021_00011 (1)", "BraTS2021_00012 ", "Patient 13"]
    for number, name in zip(range(10, 14), odd, strict=True):
        (data / f"BraTS2021_000{number}").rename(data / name)
    write_case(data / "a/b/c/d/e", "BraTS2021_00014")  # too deep
    (data / "BraTS2021_00015").symlink_to("gone")
    (data / "__MACOSX").mkdir()  # as a Mac packs it
    (data / ".DS_Store").touch()
    (case[0] / "._BraTS2021_00000_t1.nii.gz").touch()
    (case[1] / "BraTS2021_00001_t2.nii.gz").write_bytes(b"\x1f\x8b")  # unreadable
    t1 = (case[2] / "BraTS2021_00002_t1.nii.gz").read_bytes()
    (case[2] / "BraTS2021_00002_t1ce.nii.gz").write_bytes(t1)
    rows = [f"BraTS2021_0000{number};HGG;Röntgen" for number in (0, 1, 2, 3, 3)]
    table = "\r\n".join(["case_id;grade;note", *rows, "bratS2021_00004;LGG;;", ";;"])
    (data / "clinical.csv").write_bytes(table.encode("cp1252"))
    parts = [f"{number % 2};BraTS2021_0000{number}" for number in range(6)]
    partition = as_fets(data, "1;BraTS2021_99999")
    text = "\n".join(["Partition_ID;Subject_ID", *parts, "1;BraTS2021_99999", "x;BraTS2021_00006"])
    Path(partition).write_text(text, encoding="utf-8")

    arguments = ["--data", str(data), "--kind", "brats2021", "--partition", partition]
    shown = CliRunner().invoke(prepare, [*arguments, "--out", str(tmp_path / "out")])
    assert isinstance(shown.exception, InputError)
    said = str(shown.exception)
    for words in (
        *map(repr, odd),
        "'a/b/c/d/e/BraTS2021_00014'",
        "'BraTS2021_00015': is a link that leads nowhere",
        "used by nothing: 6.",
        "1 .DS_Store, 1 ._*, 1 __MACOSX",
        "BraTS2021_00001_t2.nii.gz: ",
        "found the same image as BraTS2021_00002_t1.nii.gz",
        "clinical.csv: this is not UTF-8 (byte 0xf6 in line 2",
        "clinical.csv: its cells are separated by semicolons",
        "line 6: the case BraTS2021_00003 has a row already",
        "'bratS2021_00004' (meant: BraTS2021_00004?)",
        "cases without a row: BraTS2021_00004, BraTS2021_00005, BraTS2021_00006",
        "partitioning.csv: its cells are separated by semicolons",
        "no case folder for BraTS2021_99999",
        "expected a Partition_ID of -1, 0, 1 …, found 'x'",
    ):
        assert words in said, words
    assert not (tmp_path / "out").exists()


def test_a_refusal_leaves_no_folder_above_out_either(data, tmp_path, monkeypatch):
    def full_disk(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("shutil.copy2", full_disk)
    out = tmp_path / "a" / "b" / "out"
    with pytest.raises(OSError, match="No space"):
        prepare_sites(out, data=data, kind="brats2021", sites=2, copy=True)
    assert nothing_but(tmp_path, "data")


def test_synthetic_patients_are_made_below_a_temporary_folder_of_any_length(tmp_path):
    """A Manager's socket died here: a socket's path has 107 characters at most."""
    long = tmp_path.joinpath(*["a folder of a job on a cluster"] * 4)
    long.mkdir(parents=True)
    words = ["--kind", "phantom", "--cases", "2", "--size", "32", "--spacing", "5.5"]
    command = [sys.executable, "-m", "scripts", "prepare", *words, "--sites", "1", "--out"]
    made = subprocess.run(
        [*command, tmp_path / "out"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(long)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert len(ids(tmp_path / "out" / "one")) == 2


def test_nothing_here_opens_a_socket_by_its_path():
    """Such a path is too long below many a TMPDIR; pipes and pairs of sockets have none."""
    sources = [p for room in ("src", "scripts", "certs") for p in (ROOT / room).rglob("*.py")]
    calls = ("Manager(", ".bind(str(", "multiprocessing.connection.Listener", "forkserver")
    texts = {path: path.read_text(encoding="utf-8") for path in sources}
    assert [path for path, text in texts.items() if any(call in text for call in calls)] == []
