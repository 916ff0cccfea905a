"""A site's real gate, and a ledger's folder, for tests of what is booked."""

import shutil
from pathlib import Path

import pytest

from src.trust.gate import SiteGate
from tests.ceremonies import Clock
from tests.ledgers import begun


@pytest.fixture(scope="module")
def workspace(ceremony_held, tmp_path_factory) -> Path:
    """Site one's workspace: a copy for the tests of a file, who share its audit log."""
    copy = tmp_path_factory.mktemp("ledger") / "one"
    shutil.copytree(ceremony_held / "one", copy)
    return copy


@pytest.fixture(scope="module")
def gate(workspace) -> SiteGate:
    """Its gate, identified: it signs and logs."""
    gate = SiteGate(str(workspace), Clock())
    gate.identify("one")
    return gate


@pytest.fixture
def ledgers(tmp_path, gate) -> Path:
    """Where the ledgers lie: begun, and none opened yet."""
    return begun(tmp_path / "state" / "ledger", gate)
