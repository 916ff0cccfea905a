"""One honest delivery reaches all: a newer revocation list goes from party to party, in mid-run."""

import pytest

from scripts.local.processes import running
from src.trust import revocation
from src.trust.certificate import utc_now
from src.trust.package import receive
from tests.federation.drills import seen, start_all, wait_until
from tests.patience import HANG_S

pytestmark = [pytest.mark.federation]
TAKEN = "revocation list taken"


def held(workspace) -> bytes:
    return (workspace / revocation.FILE).read_bytes()


@pytest.mark.parametrize("holder", ["aggregator", "two"])
def test_a_list_that_one_party_gets_in_mid_run_reaches_every_party(federation, holder):
    federation.change("task_runner.seconds=0.5")
    parties = {"aggregator": federation.aggregator, **federation.sites}
    newest = federation.desk().delivery.revocation_list()
    carried = federation.folder / "revoked.crl"
    carried.write_bytes(newest)
    with running(start_all(federation)) as processes:
        wait_until(federation, "while round 0 is trained")
        assert all(held(workspace) != newest for workspace in parties.values())
        receive(carried, parties[holder], utc_now())
        for process in processes:
            assert process.process.wait(HANG_S) == 0, process.name
    assert [name for name, workspace in parties.items() if held(workspace) != newest] == []
    taken = {
        name: [line["source"] for line in seen(workspace) if line["event"] == TAKEN]
        for name, workspace in parties.items()
    }
    assert taken.pop(holder) == []
    handed_up = {"aggregator": ["two"]} if holder == "two" else {}
    assert taken == {name: ["the aggregator"] for name in taken} | handed_up
