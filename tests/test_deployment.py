"""The files for running as a service: valid, pinned, without privileges."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from src import account
from src.errors import Damaged, Refused

WORKSPACE = Path(__file__).resolve().parent.parent / "workspace"
DOCKERFILE = (WORKSPACE / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((WORKSPACE / "compose.yaml").read_text())
UNIT = WORKSPACE / "glioma-site.service"


def schema_check(path: Path) -> subprocess.CompletedProcess:
    tool = Path(sys.executable).with_name("check-jsonschema")
    command = [tool, "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_compose_yaml_is_what_the_compose_specification_says(tmp_path):
    shown = schema_check(WORKSPACE / "compose.yaml")
    assert shown.returncode == 0, shown.stdout
    broken = tmp_path / "compose.yaml"
    broken.write_text((WORKSPACE / "compose.yaml").read_text().replace("cap_drop: [ALL]", "cap: 1"))
    assert schema_check(broken).returncode != 0


@pytest.mark.parametrize("role", ["site", "aggregator"])
def test_containers_have_no_privileges_and_no_writable_root(role):
    service = COMPOSE["services"][role]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["pull_policy"] == "never"
    assert "user" in service
    assert "privileged" not in service
    assert "ports" not in COMPOSE["services"]["site"]  # nothing comes in at a hospital


def test_patients_are_mounted_read_only():
    mounts = COMPOSE["services"]["site"]["volumes"]
    assert [mount for mount in mounts if "DATA" in mount and mount.endswith(":ro")]
    assert not [m for m in mounts if "DATA" in m and not m.endswith(":ro")]


def test_privacy_ledgers_lie_outside_the_workspace_and_outlive_the_container():
    site = COMPOSE["services"]["site"]
    place = site["environment"]["GLIOMA_LEDGER"]
    (mount,) = [mount for mount in site["volumes"] if mount.endswith(f":{place}")]
    assert "GLIOMA_LEDGER" in mount
    assert not place.startswith(site["working_dir"])
    assert f"GLIOMA_LEDGER={place} " in DOCKERFILE
    unit = UNIT.read_text()
    named = re.search(r"^Environment=GLIOMA_LEDGER=/var/lib/(\S+)$", unit, re.MULTILINE)
    assert named is not None
    assert f"\nStateDirectory={named[1]}\nStateDirectoryMode=0700\n" in unit


def test_mask_keys_lie_in_the_hosts_memory_and_outlive_the_service_but_not_the_host():
    site = COMPOSE["services"]["site"]
    place = site["environment"]["GLIOMA_MEMORY"]
    assert f"${{GLIOMA_MEMORY:-/dev/shm}}:{place}" in site["volumes"]
    assert place not in COMPOSE["services"]["site"].get("tmpfs", [])  # gone with the container
    unit = UNIT.read_text()
    named = re.search(r"^Environment=GLIOMA_MEMORY=/run/(\S+)$", unit, re.MULTILINE)
    assert named is not None
    assert f"\nRuntimeDirectory={named[1]}\nRuntimeDirectoryMode=0700\n" in unit
    assert "\nRuntimeDirectoryPreserve=yes\n" in unit


def test_what_libraries_ask_of_an_account_is_said_and_lies_where_it_can_be_written():
    """KIT_USER is in no /etc/passwd of the image, and the root is read-only."""
    asked = {"USER", "TMPDIR", *account.CACHES}
    image = dict(re.findall(r"\b([A-Z_]+)=(\S+)", DOCKERFILE.partition("ENV USER=kit")[2]))
    unit = dict(re.findall(r"\b([A-Z_]+)=(/\S+|glioma\b)", UNIT.read_text()))
    for service in COMPOSE["services"].values():
        environment, (writable,) = service["environment"], service["tmpfs"]
        assert asked | {"HOME"} <= {*environment}
        places = [environment[name] for name in asked | {"HOME"} if name != "USER"]
        assert [place for place in places if not Path(place).is_relative_to(writable)] == []
        assert {name: image.get(name, "kit") for name in asked} == {
            n: environment[n] for n in asked
        }
    assert asked <= {*unit}
    assert all(unit[name].startswith("/var/cache/glioma-site-%i") for name in account.CACHES)


def test_every_variable_of_compose_is_explained():
    used = set(re.findall(r"\$\{(\w+)", (WORKSPACE / "compose.yaml").read_text()))
    explained = re.findall(r"^(\w+)=", (WORKSPACE / "site.env.example").read_text(), re.MULTILINE)
    assert used == set(explained)


def test_the_image_is_pinned_and_not_root():
    base = r"^ARG BASE=python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}\nFROM \$\{BASE\}$"
    assert re.search(base, DOCKERFILE, re.MULTILINE)
    assert "latest" not in DOCKERFILE
    users = re.findall(r"^USER (\w+)", DOCKERFILE, re.MULTILINE)
    assert users == ["kit"]


def test_whatever_pip_installs_comes_from_a_lock_with_hashes():
    runbook = (WORKSPACE / "README.md").read_text()
    scripts = (WORKSPACE.parent / "scripts" / "environment.sh").read_text()
    for text in (runbook, DOCKERFILE.replace("\\\n", " "), scripts):
        lines = [line for line in text.splitlines() if re.search(r"\bpip\b.* install ", line)]
        assert lines
        assert [line for line in lines if "--require-hashes" not in line] == []


def test_everything_that_the_image_copies_is_there():
    for source in re.findall(r"^COPY ((?:[\w/.]+ )+)/kit", DOCKERFILE, re.MULTILINE):
        for path in source.split():
            assert (WORKSPACE.parent / path).exists(), path


def test_what_was_refused_or_is_damaged_is_not_started_again():
    assert f"RestartPreventExitStatus={Refused.exit_code} {Damaged.exit_code}\n" in UNIT.read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit(tmp_path):
    unit = tmp_path / "glioma-site@.service"
    shutil.copy2(UNIT, unit)
    command = ["systemd-analyze", "verify", unit]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    complaints = [line for line in shown.splitlines() if "is not executable" not in line]
    assert [line for line in complaints if "glioma-site" in line] == []
