"""The locks: they cover what is installed, and pip refuses whatever they do not name."""

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.local import locks
from src.errors import InputError

INSTALLED = [*locks.needed(), *locks.read(locks.TESTS)]
EVERYTHING = [*INSTALLED, *locks.needed_for_cuda()]


def versions(packages: list[locks.Locked]) -> dict[str, str]:
    return {package.name: package.version for package in packages}


def test_every_locked_package_is_installed_at_its_version():
    found = {p.name: distribution(p.name).version.split("+")[0] for p in INSTALLED}
    assert found == versions(INSTALLED)


def test_whatever_an_installed_package_needs_is_locked():
    everything, open_ends = versions(EVERYTHING), []
    for name in versions(INSTALLED):
        for line in requires(name) or []:
            need = Requirement(line)
            if need.marker and not need.marker.evaluate({"extra": ""}):
                continue
            version = everything.get(canonicalize_name(need.name))
            if version is None or not need.specifier.contains(version, prereleases=True):
                open_ends.append(f"{name} needs {line}, locked is {version}")
    assert open_ends == []


@pytest.mark.parametrize("folder", ["workspace", "tests"])
def test_every_pin_is_in_the_lock(folder):
    text = (locks.ROOT / folder / "requirements.txt").read_text()
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))
    assert pins
    assert {canonicalize_name(name): pin for name, pin in pins.items()}.items() <= (
        versions(INSTALLED).items()
    )


def test_no_package_is_locked_twice():
    names = [package.name for package in EVERYTHING]
    assert len(names) == len(set(names))


def test_torch_is_locked_once_for_the_cpu_and_once_for_cuda():
    (cpu,) = locks.read(locks.CPU)
    cuda = next(package for package in locks.read(locks.CUDA) if package.name == "torch")
    assert (cpu.name, cpu.version) == ("torch", f"{cuda.version}+cpu")
    assert not set(cpu.sha256) & set(cuda.sha256)
    assert "torch" not in versions(locks.read(locks.KIT))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("--require-hashes\n", "", "expected the line --require-hashes"),
        ("--only-binary :all:\n", "", "expected the line --only-binary :all:"),
        ("numpy==", "numpy>=", "found 'numpy>="),
        ("blinker==", "evil==1.0\nblinker==", "found 'evil==1.0'"),
        ("blinker==", "--index-url https://elsewhere\nblinker==", "found '--index-url"),
    ],
)
def test_a_lock_that_lets_something_through_is_refused(tmp_path, old, new, says):
    path = tmp_path / "lock.txt"
    path.write_text(locks.KIT.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(says)):
        locks.read(path)


# What pip does with such a lock, the attack carried out on a package made here.


@pytest.fixture
def shop(tmp_path) -> Path:
    """A folder that pip takes packages from."""
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


def wheel(shop: Path, code: str) -> str:
    """Offer the wheel tumour 1.0 that holds `code`; its SHA-256."""
    path = shop / "tumour-1.0-py3-none-any.whl"
    info = "tumour-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tumour.py", code)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tumour\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"tumour.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source(shop: Path, code: str) -> str:
    """Offer tumour 1.0 as source, whose setup.py is `code`; the SHA-256 of the file."""
    path = shop / "tumour-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in {
            "setup.py": code,
            "PKG-INFO": "Metadata-Version: 2.1\nName: tumour\nVersion: 1.0\n",
        }.items():
            entry = tarfile.TarInfo(f"tumour-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def install(shop: Path, requirements: str) -> tuple[bool, str]:
    """Whether pip has put tumour into shop/../site, and what it said."""
    (shop.parent / "lock.txt").write_text(requirements)
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--no-index", "--no-cache-dir"]
    options = ["--find-links", shop, "--no-build-isolation", "--target", shop.parent / "site"]
    shown = subprocess.run(
        [*pip, *options, "-r", shop.parent / "lock.txt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return (shop.parent / "site" / "tumour.py").is_file(), shown.stderr


def lock(*lines: str) -> str:
    return "\n".join([*locks.OPTIONS, *lines, ""])


def test_a_wheel_that_was_tampered_with_is_not_installed(shop):
    good = wheel(shop, "def contour(): ...")
    assert install(shop, lock(f"tumour==1.0 --hash=sha256:{good}"))[0]
    (shop.parent / "site" / "tumour.py").unlink()

    wheel(shop, "import os; os.system('true')")
    installed, said = install(shop, lock(f"tumour==1.0 --hash=sha256:{good}"))
    assert not installed
    assert "DO NOT MATCH THE HASHES" in said
    assert install(shop, "tumour==1.0\n")[0]  # without hashes the attack succeeds


def test_a_package_slipped_in_without_a_hash_is_not_installed(shop):
    wheel(shop, "import os; os.system('true')")
    installed, said = install(shop, lock("tumour==1.0"))
    assert not installed
    assert "Hashes are required" in said


def test_setup_py_does_not_run_though_its_hash_is_right(shop):
    ran = shop.parent / "ran"
    sha256 = source(shop, f"open({str(ran)!r}, 'w'); import setuptools; setuptools.setup()")
    line = f"tumour==1.0 --hash=sha256:{sha256}"
    assert not install(shop, lock(line))[0]
    assert not ran.exists()
    install(shop, f"--require-hashes\n{line}\n")  # without --only-binary the attack succeeds
    assert ran.exists()
