"""What several rooms' tests share: one thread, and small synthetic sites made once."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from src.differential_privacy import ledger
from src.plan import sources
from src.secure_aggregation import mask_keys
from tests import ceremonies
from tests.ceremonies import Clock
from tests.secure_aggregation import sealing

os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test is decided by a clock: a busy machine draws and runs examples slowly.
settings.register_profile("kit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kit")

# The kit that runs these tests has parts of theirs, as a workspace has parts of its researchers'.
sources.RUNNING = sources.Sources(sources.KIT, ("src", "tests"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that it does not run alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session", autouse=True)
def apart(tmp_path_factory):
    """These tests' ledgers and mask keys lie in folders of their own, not in this user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ledger.VARIABLE, str(tmp_path_factory.mktemp("ledgers") / "ledger"))
        with tempfile.TemporaryDirectory(dir=mask_keys.memory_folder()) as memory:
            patch.setenv(mask_keys.VARIABLE, memory)
            yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> MadeOnce:
    """made_once(name, make): a folder that `make` fills, once for all of pytest-xdist's workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, whole = shared / name, shared / f"{name}.whole"
        with FileLock(shared / f"{name}.lock"):
            if not whole.is_file():
                shutil.rmtree(folder, ignore_errors=True)  # another worker's, half made
                folder.mkdir()
                make(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def phantom_sites(made_once) -> dict[str, Path]:
    """Three synthetic sites with 5, 3 and 4 patients of 32^3 voxels."""
    from scripts.partition.preparation import make_phantoms, site_folders

    def make(folder: Path) -> None:
        make_phantoms(folder / "sites", 3, "5,3,4", seed=1, size=32, spacing_mm=5.5)

    return site_folders(made_once("phantoms", make) / "sites")


@pytest.fixture(scope="session")
def ceremony_held(made_once) -> Path:
    """Workspaces after the ceremony of tests/ceremonies.py, made once."""
    return made_once("ceremony", lambda folder: ceremonies.hold(folder, Clock()))


@pytest.fixture
def clock() -> Clock:
    """The time at which the ceremony was held; a test may move it."""
    return Clock()


@pytest.fixture
def parties(ceremony_held, tmp_path) -> Path:
    """A folder with desk, aggregator, one, two; a test's own copy."""
    shutil.copytree(ceremony_held, tmp_path / "parties")
    return tmp_path / "parties"


@pytest.fixture(scope="session")
def ceremony_of_three(made_once) -> Path:
    """The same with three sites and the default plan: encrypted, so with keys for the sums."""
    sites = ("one", "two", "three")
    return made_once("encrypted", lambda to: ceremonies.hold(to, Clock(), sites, "plan.yaml"))


@pytest.fixture
def encrypted_parties(ceremony_of_three, tmp_path) -> Path:
    """A folder with desk, aggregator, one, two, three; a test's own copy."""
    shutil.copytree(ceremony_of_three, tmp_path / "encrypted")
    return tmp_path / "encrypted"


@pytest.fixture
def three(tmp_path):
    """An encrypted federation in this process whose first roster is closed: three sites."""
    yield from _gathered(tmp_path, sealing.THREE)


@pytest.fixture
def four(tmp_path):
    """The same of four."""
    yield from _gathered(tmp_path, sealing.FOUR)


def _gathered(folder: Path, cases: dict[str, int]):
    federation = sealing.Federation(folder, cases)
    federation.gather()
    yield federation
    federation.close()
