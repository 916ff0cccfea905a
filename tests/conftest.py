"""What several rooms' tests share: one thread, and small synthetic sites made once."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def phantom_sites(tmp_path_factory) -> dict[str, Path]:
    """Three synthetic sites with 5, 3 and 4 patients of 32^3 voxels."""
    from scripts.prepare import make_phantoms, site_folders

    folder = tmp_path_factory.mktemp("phantoms") / "sites"
    make_phantoms(folder, 3, "5,3,4", seed=1, size=32, spacing_mm=5.5)
    return site_folders(folder)
