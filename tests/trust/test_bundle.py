"""One digest over everything that decides what a run does, and over nothing else."""

import shutil
import subprocess

import pytest

from src.errors import Refused
from src.trust import bundle


@pytest.fixture
def site(parties):
    return parties / "one"


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_all_parties_have_the_same_digest(parties):
    found = {bundle.read(parties / party).digest for party in ("aggregator", "one", "two")}
    assert len(found) == 1


def test_sha256sum_checks_the_manifest(site, tmp_path):
    found = bundle.read(site)
    (tmp_path / "manifest").write_text(found.manifest())
    command = ["sha256sum", "--check", "--quiet", tmp_path / "manifest"]
    assert subprocess.run(command, cwd=site, check=False).returncode == 0
    flip(site / "src" / "model_vector.py")
    assert subprocess.run(command, cwd=site, check=False, capture_output=True).returncode != 0
    assert bundle.Bundle.parse(found.manifest()) == found


@pytest.mark.parametrize(
    "path",
    [
        "src/model_vector.py",
        "src/evaluation/metrics.py",
        "src/sbom.cdx.json",
        "save/init.pbuf",
        "requirements.txt",
        "cert/members.json",
    ],
)
def test_one_changed_byte_is_another_bundle(site, path):
    before = bundle.read(site)
    flip(site / path)
    after = bundle.read(site)
    assert after.digest != before.digest
    assert bundle.differences(before, after) == [f"changed: {path}"]


def test_a_changed_plan_is_another_bundle(site):
    before = bundle.read(site).digest
    path = site / "plan" / "plan.yaml"
    path.write_text(path.read_text().replace("rounds_to_train: 10", "rounds_to_train: 11"))
    assert bundle.read(site).digest != before


@pytest.mark.parametrize(
    "path", ["src/new.py", "src/data/new.pyc", "parts.py", "numpy/__init__.py", "sitecustomize.so"]
)
def test_code_that_could_be_imported_belongs_to_it(site, path):
    before = bundle.read(site)
    (site / path).parent.mkdir(exist_ok=True)
    (site / path).write_bytes(b"x")
    assert bundle.differences(before, bundle.read(site)) == [f"new: {path}"]


@pytest.mark.parametrize(
    "path",
    ["data/one/x.nii", "logs/one.log", "local_state/x", "cache/x", "plan/data.yaml", "final.pt"],
)
def test_a_partys_own_files_do_not(site, path):
    before = bundle.read(site).digest
    (site / path).parent.mkdir(parents=True, exist_ok=True)
    (site / path).write_text("own")
    assert bundle.read(site).digest == before


def test_a_plan_cannot_name_code_in_a_partys_own_folders(site):
    path = site / "plan" / "plan.yaml"
    path.write_text(
        path.read_text().replace("src.engines.openfl.data_loader.SiteData", "data.evil.SiteData")
    )
    with pytest.raises(Refused, match="lies outside the code"):
        bundle.read(site)


def test_a_link_is_no_file_of_the_bundle(site, tmp_path):
    shutil.move(site / "src" / "model_vector.py", tmp_path)
    (site / "src" / "model_vector.py").symlink_to(tmp_path / "model_vector.py")
    with pytest.raises(Refused, match="and no link"):
        bundle.read(site)


def test_missing_weights_are_named(site):
    (site / "save" / "init.pbuf").unlink()
    with pytest.raises(Refused, match=r"init\.pbuf: expected a file of the bundle"):
        bundle.read(site)
