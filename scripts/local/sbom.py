"""The SBOM (CycloneDX 1.6): every package of the locks, with version, purl, hashes and licence.

It is made from the locks, without a clock or chance: the same locks give the same bytes. It lies in
`src/`, which `fx` carries to every party and which every party's bundle hashes.
"""

import json
import tomllib
import uuid
from email.message import Message
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, cast

import click

from scripts.local import locks
from scripts.options import ROOT
from src.errors import InputError

FILE = ROOT / "src" / "sbom.cdx.json"


def text() -> str:
    """The SBOM of the locks that lie in this house."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    components = [_component(p, "required", _licences(p.name)) for p in locks.needed()]
    components += [_component(p, "optional", []) for p in locks.needed_for_cuda()]
    components.sort(key=lambda component: component["name"])
    root = {
        "type": "application",
        "bom-ref": project["name"],
        "name": project["name"],
        "version": project["version"],
        "licenses": [{"license": {"id": project["license"]}}],
    }
    content = {"metadata": {"component": root}, "components": components}
    number = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    return json.dumps({**head, "serialNumber": f"urn:uuid:{number}", **content}, indent=1) + "\n"


def check() -> None:
    """InputError: the SBOM does not name exactly what the locks name, file by file."""
    named = {
        (component["name"], component["version"], _hashes(component))
        for component in json.loads(FILE.read_text(encoding="utf-8"))["components"]
    }
    packages = [*locks.needed(), *locks.needed_for_cuda()]
    locked = {(package.name, package.version, package.sha256) for package in packages}
    if different := sorted({name for name, _, _ in named ^ locked}):
        some = ", ".join(different[:5])
        raise InputError(f"{FILE} and the locks differ in {some}. Type scripts/lock.")


def _component(package: locks.Locked, scope: str, licences: list[dict[str, Any]]) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name}@{package.version}"
    files = {
        "type": "distribution",
        "url": purl,
        "comment": "each file of this release, of which one is installed",
        "hashes": [{"alg": "SHA-256", "content": sha256} for sha256 in package.sha256],
    }
    component = {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "scope": scope,
        "externalReferences": [files],
    }
    return {**component, "licenses": licences} if licences else component


def _hashes(component: dict[str, Any]) -> tuple[str, ...]:
    (files,) = component["externalReferences"]
    return tuple(entry["content"] for entry in files["hashes"])


def _licences(name: str) -> list[dict[str, Any]]:
    """What the package says of itself: an SPDX expression, else its classifiers, else its words."""
    try:
        said = cast(Message, metadata(name))  # so the standard library's are
    except PackageNotFoundError:
        raise InputError(f"{name} is not installed here. Type scripts/lock.") from None
    if expression := said.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = said.get_all("Classifier") or []
    names = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]
    words = (said.get("License") or "").strip()
    if not names and words and "\n" not in words:
        names = [words]
    return [{"license": {"name": name}} for name in names]


def main(path: Path = FILE) -> None:
    """Write the SBOM."""
    path.write_text(text(), encoding="utf-8")
    click.echo(f"SBOM: {path}")


if __name__ == "__main__":
    main()
