"""The locks: every package that is installed, with the SHA-256 of every file it may come from."""

import re
from dataclasses import dataclass
from pathlib import Path

from scripts.options import ROOT
from src.errors import InputError
from src.text_file import read_text

# One lock for both roles: a site and the aggregator need the same packages. Beside it each machine
# installs one of the two builds of torch.
KIT = ROOT / "workspace" / "lock.txt"
CPU = ROOT / "workspace" / "cpu.txt"
CUDA = ROOT / "workspace" / "cuda.txt"
TESTS = ROOT / "tests" / "lock.txt"
# No package without a hash, and no source: building one runs what no hash names.
OPTIONS = ("--require-hashes", "--only-binary :all:")
ENTRY = re.compile(r"([a-z0-9][a-z0-9.-]*)==(\S+)((?: --hash=sha256:[0-9a-f]{64})+)(?: +#.*)?")


@dataclass(frozen=True)
class Locked:
    """One package of a lock. sha256: of every file that may be installed, in hex."""

    name: str
    version: str
    sha256: tuple[str, ...]


def read(path: Path) -> list[Locked]:
    """The packages of a lock. InputError: a line of it is none, or an option is missing."""
    lines = re.sub(r"\s*\\\n\s*", " ", read_text(path)).splitlines()
    lines = [line for line in lines if line and not line.lstrip().startswith("#")]
    if missing := [option for option in OPTIONS if option not in lines]:
        raise InputError(f"{path}: expected the line {missing[0]}. Type scripts/lock.")
    packages = []
    for line in lines:
        if line in OPTIONS:
            continue
        found = ENTRY.fullmatch(line)
        if not found:
            raise InputError(f"{path}: expected NAME==VERSION and hashes, found {line[:60]!r}.")
        hashes = re.findall(r"sha256:([0-9a-f]+)", found[3])
        packages.append(Locked(found[1], found[2], tuple(sorted(hashes))))
    return packages


def needed() -> list[Locked]:
    """What every machine needs; torch with the hashes of both builds.

    InputError: the builds are not of one version.
    """
    (cpu,) = read(CPU)
    cuda = next(package for package in read(CUDA) if package.name == cpu.name)
    if cpu.version != f"{cuda.version}+cpu":
        raise InputError(f"{CPU}: {cpu.version} is no build of {cuda.version} in {CUDA.name}.")
    both = Locked(cuda.name, cuda.version, tuple(sorted((*cpu.sha256, *cuda.sha256))))
    return sorted([*read(KIT), both], key=lambda package: package.name)


def needed_for_cuda() -> list[Locked]:
    """What the CUDA build of torch needs beside them."""
    return [package for package in read(CUDA) if package.name != "torch"]


def requirements() -> str:
    """What every machine needs, as the one requirements.txt that `fx workspace export` carries."""
    head = [
        "# What is locked. Installed is workspace/lock.txt, with cpu.txt or cuda.txt.",
        *OPTIONS,
    ]
    entries = [
        " \\\n    ".join([f"{p.name}=={p.version}", *(f"--hash=sha256:{h}" for h in p.sha256)])
        for p in needed()
    ]
    return "\n".join([*head, *entries, ""])
