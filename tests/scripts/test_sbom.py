"""The SBOM: it names exactly the locks, is valid CycloneDX, and goes with every workspace."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from scripts.local import locks, sbom
from scripts.local.workspace import build_workspace, complete_plan
from scripts.options import ROOT
from src.errors import InputError

SBOM = json.loads(sbom.FILE.read_text())


def test_it_is_valid_cyclonedx():
    check = JsonStrictValidator(SchemaVersion.V1_6)
    assert check.validate_str(sbom.FILE.read_text()) is None
    assert check.validate_str(json.dumps({**SBOM, "components": [{"name": "x"}]})) is not None


def test_it_names_exactly_what_is_locked():
    named = {(c["name"], c["version"]) for c in SBOM["components"]}
    packages = [*locks.needed(), *locks.needed_for_cuda()]
    assert named == {(package.name, package.version) for package in packages}
    assert len(SBOM["components"]) == len(named)
    sbom.check()


def test_each_package_has_purl_and_hashes_and_those_installed_a_licence():
    for component in SBOM["components"]:
        purl = PackageURL.from_string(component["purl"])
        assert (purl.type, purl.name) == ("pypi", component["name"])
        assert purl.version == component["version"]
        (files,) = component["externalReferences"]
        assert files["hashes"]
        assert "licenses" in component or component["scope"] == "optional"


def test_the_same_locks_give_the_same_bytes():
    assert sbom.text() == sbom.FILE.read_text()
    assert "timestamp" not in sbom.text()


def test_it_lies_in_every_workspace(tmp_path):
    build_workspace(complete_plan(ROOT / "plan" / "plan.yaml"), tmp_path / "ws")
    copy = tmp_path / "ws" / "src" / sbom.FILE.name
    assert copy.read_bytes() == sbom.FILE.read_bytes()


def another_version(components):
    components[0]["version"] = "9.9"


def one_missing(components):
    components.pop()


def another_hash(components):
    components[0]["externalReferences"][0]["hashes"][0]["content"] = "0" * 64


@pytest.mark.parametrize("change", [another_version, one_missing, another_hash])
def test_no_workspace_is_built_with_the_sbom_of_other_locks(tmp_path, monkeypatch, change):
    stale = json.loads(sbom.FILE.read_text())
    change(stale["components"])
    (tmp_path / "sbom.json").write_text(json.dumps(stale))
    monkeypatch.setattr(sbom, "FILE", tmp_path / "sbom.json")
    with pytest.raises(InputError, match="and the locks differ in"):
        build_workspace(complete_plan(ROOT / "plan" / "plan.yaml"), tmp_path / "ws")
    assert not (tmp_path / "ws").exists()
