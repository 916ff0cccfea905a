"""How a site's process ends: with its reason in the log, or with the log's own damage told."""

from datetime import UTC, datetime

import pytest

from src.errors import AggregatorUnreachable, Damaged, KitError, Refused
from src.hash_chain import read
from src.rounds.site import SiteRounds
from src.trust.audit import AuditLog
from tests.open_gate import OpenSiteGate


@pytest.fixture
def log(tmp_path) -> AuditLog:
    """A site's real audit log, begun."""
    made = AuditLog(tmp_path / "audit.jsonl", "one", lambda: datetime.now(UTC))
    made.write("started")
    return made


@pytest.fixture
def site(log, monkeypatch) -> SiteRounds:
    gate = OpenSiteGate("one")
    monkeypatch.setattr(gate, "log", log.write)
    return SiteRounds(gate)


def ends(site: SiteRounds, error: KitError) -> SystemExit:
    with pytest.raises(SystemExit) as ended, site.to_the_end():
        raise error
    return ended.value


def alter(log: AuditLog) -> None:
    log.path.write_bytes(log.path.read_bytes()[:-3] + b"x}\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [(Refused("revoked"), 77), (AggregatorUnreachable("gone"), 1), (Damaged("a ledger"), 65)],
)
def test_why_a_site_ends_is_its_last_line_and_its_code(site, log, error, code):
    assert ends(site, error).code == code
    last = read(log.path)[-1]
    assert (last["event"], last["how"]) == ("ended", f"{type(error).__name__}: {error}")


def test_a_damaged_log_does_not_stand_in_place_of_the_reason(site, log, caplog):
    alter(log)
    ended = ends(site, AggregatorUnreachable("nobody there"))
    assert (ended.code, str(ended.__cause__)) == (1, "nobody there")
    assert "AggregatorUnreachable: nobody there" in caplog.text
    assert "its last line is not readable" in caplog.text


def test_a_site_that_is_done_but_whose_log_is_damaged_says_so(site, log, caplog):
    alter(log)
    with pytest.raises(SystemExit) as ended, site.to_the_end():
        pass
    assert ended.value.code == Damaged.exit_code
    assert "Damaged: " in caplog.text


def test_a_bug_in_a_site_keeps_its_traceback(site):
    with pytest.raises(IndexError), site.to_the_end():
        [].pop()
