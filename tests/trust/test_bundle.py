"""One digest over everything that decides what a run does, and over nothing else."""

import os
import shutil
import subprocess

import pytest
import yaml

from src.errors import PlanError, Refused
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
    "path", ["src/new.py", "src/x.json", "parts.py", "numpy/__init__.py", "sitecustomize.so"]
)
def test_code_that_could_be_imported_belongs_to_it(site, path):
    before = bundle.read(site)
    (site / path).parent.mkdir(exist_ok=True)
    (site / path).write_bytes(b"x")
    assert bundle.differences(before, bundle.read(site)) == [f"new: {path}"]


@pytest.mark.parametrize(
    "path",
    [
        *("data/one/x.nii", "data/one/read.py", "logs/one.log", "local_state/x", "cache/x"),
        *("plan/data.yaml", "plan/cols.yaml", "save/final.pbuf", "cert/client/col_one.key"),
        *("one.zip", "col_one_to_agg_cert_request.zip", "agg_to_col_one_signed_cert.zip"),
    ],
)
def test_a_partys_own_files_do_not(site, path):
    before = bundle.read(site).digest
    (site / path).parent.mkdir(parents=True, exist_ok=True)
    (site / path).write_text("own")
    assert bundle.read(site).digest == before


STRAY = {
    "final.pt": "expected no such file beside the code",
    "glioma.zip": "expected no such file beside the code",
    ".env": "expected no such file beside the code",
    ".evil/__init__.py": "not hidden",
    "src/.evil.py": "not hidden",
    "src/a b.py": "a name of plain letters",
    "src/\u202eyp.live.py": "a name of plain letters",
    "src/evil.pyc": "compiled code, which nobody can read",
    "evil.pyc": "expected no such file",
    "logs/__init__.py": "code lies among a party's own files",
    "save/deep/evil.so": "code lies among a party's own files",
    "data/__init__.py": "code lies among the patients",
    "plan/__init__.py": "expected one plan",
    "plan/quick.yaml": "expected one plan",
    "plan/plan_0123abcd.yaml": "expected one plan",
    "plan/defaults/x.yaml": "expected one plan",
}


@pytest.mark.parametrize(("path", "words"), STRAY.items(), ids=ascii)
def test_what_is_neither_code_nor_a_partys_own_is_refused(site, path, words):
    (site / path).parent.mkdir(parents=True, exist_ok=True)
    (site / path).write_text("a: b")
    with pytest.raises(Refused, match=words):
        bundle.read(site)


@pytest.mark.parametrize(
    "path", ["src/model_vector.py", "src/training", "logs", "save/init.pbuf", "cert/desk.crt"]
)
def test_a_link_is_refused_wherever_it_lies(site, tmp_path, path):
    shutil.move(site / path, tmp_path / "elsewhere")
    (site / path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="and no link"):
        bundle.read(site)


def test_links_to_patients_are_a_sites_own(site, tmp_path):
    before = bundle.read(site).digest
    (site / "data" / "one").symlink_to(tmp_path)
    assert bundle.read(site).digest == before


def test_a_pipe_is_refused_and_not_waited_for(site):
    os.mkfifo(site / "src" / "pipe.py")
    with pytest.raises(Refused, match="neither a file nor a folder"):
        bundle.read(site)


def test_the_plan_that_fx_has_frozen_is_known_by_what_it_holds(site):
    plan = yaml.safe_load((site / "plan" / "plan.yaml").read_text())
    plan["tasks"]["settings"] = {}  # as OpenFL 1.9 adds it
    frozen = site / "plan" / "plan_0123abcd.yaml"
    before = bundle.read(site).digest
    frozen.write_text(yaml.safe_dump(plan))
    assert bundle.read(site).digest == before
    plan["aggregator"]["settings"]["rounds_to_train"] += 1
    frozen.write_text(yaml.safe_dump(plan))
    with pytest.raises(Refused, match="expected one plan"):
        bundle.read(site)


def test_a_plan_of_a_workspace_that_names_defaults_is_refused(site):
    path = site / "plan" / "plan.yaml"
    plan = yaml.safe_load(path.read_text())
    plan["network"]["defaults"] = "defaults/network.yaml"
    path.write_text(yaml.safe_dump(plan))
    with pytest.raises(PlanError, match=r"network names defaults.*signed by nobody"):
        bundle.read(site)


@pytest.mark.parametrize(
    "where", ["cert/client/col_one.key", "/etc/passwd", "save/../x", "save/x.py"]
)
def test_initial_weights_lie_in_save(site, where):
    path = site / "plan" / "plan.yaml"
    plan = yaml.safe_load(path.read_text())
    plan["aggregator"]["settings"]["init_state_path"] = where
    path.write_text(yaml.safe_dump(plan))
    with pytest.raises(Refused, match="expected a file in save/"):
        bundle.read(site)


def test_missing_weights_are_named(site):
    (site / "save" / "init.pbuf").unlink()
    with pytest.raises(Refused, match=r"init\.pbuf: expected a file of the bundle"):
        bundle.read(site)
