"""A folder in which privacy ledgers were begun, as a site's engineer does it once."""

from pathlib import Path
from typing import Any

from src.differential_privacy import journal, ledger


def begun(folder: Path, gate: Any, site: str = "one") -> Path:
    """The folder, begun by this site unless it was before."""
    if not journal.is_begun(folder):
        ledger.begin(folder, site, gate, by="an engineer", why="first private run, in a test")
    return folder
