"""Attacks on whom the aggregator waits for: carried out against stock OpenFL, and this kit."""

import pytest

from scripts.attack import line_attacks as module
from scripts.attack.line_attacks import carry_out
from scripts.attack.targets import Kit, Stock

pytestmark = [pytest.mark.federation, pytest.mark.faults]
HELD, MEMORY, HEARTBEAT = (
    "upload beside 50 held streams, s",
    "memory by a stream of 400 MB, MB",
    "heartbeat beside 16 calls for nothing, s",
)


@pytest.fixture(autouse=True)
def shorter(monkeypatch):
    monkeypatch.setattr(module, "HOLD_S", 8.0)
    monkeypatch.setattr(module, "PING_S", 12.0)


def figures(target) -> dict[str, float]:
    target.enrol()
    return carry_out(target)


def test_at_this_kit_nobody_waits_for_a_stranger_or_for_what_is_not_there(tmp_path):
    found = figures(Kit(tmp_path, "plain.yaml"))
    assert found[HELD] < 1.0
    assert found[MEMORY] < 20.0
    assert found[HEARTBEAT] < 1.0


def test_at_stock_openfl_everybody_does(tmp_path):
    """The attacks are real: uploads and heartbeats wait as long as the attacker likes."""
    found = figures(Stock(tmp_path, "plain.yaml"))
    assert found[HELD] > 5.0
    assert found[MEMORY] > 400.0
    assert found[HEARTBEAT] > 10.0
