"""Who passes the gates, and who is told why not."""

import shutil

import pytest

from src.errors import Damaged, MaskReused, Refused, WorkspaceHeld
from src.refusal import MARK, reason_in
from src.trust import audit, revocation
from src.trust.certificate import read_certificate, subject
from src.trust.gate import PINNED, AggregatorGate, SiteGate
from src.trust.refusals import MOST_A_MINUTE
from tests import ceremonies
from tests.ceremonies import ADDRESS, approve, hand_out, make_request, open_desk, words_of


@pytest.fixture
def desk(parties, clock):
    return open_desk(parties / "desk", clock)


@pytest.fixture
def aggregator(parties, clock):
    gate = AggregatorGate(str(parties / "aggregator"), clock)
    gate.open(["one", "two"])
    return gate


def site_gate(parties, clock) -> SiteGate:
    return SiteGate(str(parties / "one"), clock)


def common_name(parties, site: str) -> str:
    return subject(read_certificate(parties / f"{site}/cert/client/col_{site}.crt"))


def events(parties, party: str) -> list[str]:
    listed = ceremonies.SiteGate(str(parties / "one")).members.members
    certificates = [member.certificate for member in listed]
    return [line["event"] for line in audit.verify(parties / party / audit.FILE, certificates)]


def change_code(workspace) -> None:
    with (workspace / "src" / "model_vector.py").open("a") as file:
        file.write("#")


# -- a site's ----------------------------------------------------------------------------------


def test_a_site_that_has_approved_opens_and_pins_the_aggregators_certificate(parties, clock):
    gate = site_gate(parties, clock)
    assert gate.open("one") == f"run_{gate.members.run}"
    pinned = read_certificate(parties / "one" / PINNED)
    assert pinned == gate.members.aggregator.certificate
    lines = audit.verify(parties / "one" / audit.FILE, [gate.certificate])
    assert [line["event"] for line in lines[-2:]] == ["key opened", "started"]


def test_one_byte_of_code_changed_after_the_approval_is_refused_and_logged(parties, clock):
    change_code(parties / "one")
    gate = site_gate(parties, clock)
    with pytest.raises(Refused, match=r"approval.json is for bundle"):
        gate.open("one")
    lines = audit.verify(parties / "one" / audit.FILE, [gate.certificate])
    assert lines[-1]["event"] == "refused"
    assert "is for bundle" in lines[-1]["reason"]


def test_a_second_process_in_the_workspace_is_refused_and_logged(parties, clock):
    first = site_gate(parties, clock)
    first.open("one")
    second = site_gate(parties, clock)
    with pytest.raises(WorkspaceHeld, match="is in use by process"):
        second.open("one")
    assert events(parties, "one")[-1] == "refused"
    first.lock.release()
    second.open("one")


def test_a_second_aggregator_in_the_workspace_is_refused(parties, aggregator, clock):
    with pytest.raises(WorkspaceHeld, match="is in use by process"):
        AggregatorGate(str(parties / "aggregator"), clock).open(["one", "two"])
    assert events(parties, "aggregator")[-1] == "refused"


def test_a_site_that_approved_nothing_is_refused(parties, clock):
    shutil.rmtree(parties / "one" / "approvals")
    with pytest.raises(Refused, match="has approved nothing yet"):
        site_gate(parties, clock).open("one")


def test_a_site_does_not_start_towards_a_revoked_aggregator(parties, desk, clock):
    desk.revoke(ADDRESS, "keyCompromise")
    revocation.write_atomically(parties / "one" / revocation.FILE, desk.delivery.revocation_list())
    with pytest.raises(Refused, match=f"certificate of aggregator {ADDRESS} .* was revoked"):
        site_gate(parties, clock).open("one")


def test_a_site_stops_when_its_aggregator_is_revoked_in_the_middle(parties, desk, clock):
    gate = site_gate(parties, clock)
    gate.open("one")
    gate.check_aggregator()
    desk.revoke(ADDRESS, "keyCompromise")
    revocation.write_atomically(parties / "one" / revocation.FILE, desk.delivery.revocation_list())
    with pytest.raises(Refused, match="was revoked"):
        gate.check_aggregator()


def test_an_expired_federation_does_not_start(parties, clock):
    clock.pass_days(91)
    with pytest.raises(Refused, match="expired at"):
        site_gate(parties, clock)


def test_a_name_that_is_not_in_the_list_is_refused(parties, clock):
    with pytest.raises(Refused, match="'three' is not in the member list"):
        site_gate(parties, clock).open("three")


def test_anothers_workspace_cannot_speak_for_a_site(parties, clock):
    for suffix in ("crt", "key"):
        stem = parties / f"one/cert/client/col_one.{suffix}"
        shutil.copy2(parties / f"two/cert/client/col_two.{suffix}", stem)
    with pytest.raises(Refused, match="not the certificate that the member list names for one"):
        site_gate(parties, clock).open("one")


# -- the aggregator's --------------------------------------------------------------------------


def refusal(gate: AggregatorGate, common_name: str, site: str) -> str:
    with pytest.raises(Refused) as caught:
        gate.check(common_name, site)
    return reason_in(str(caught.value)) or ""


def test_a_member_passes_with_its_own_certificate_and_name(parties, aggregator):
    aggregator.check(common_name(parties, "one"), "one")


def test_another_sites_name_in_the_header_is_refused(parties, aggregator):
    assert refusal(aggregator, common_name(parties, "one"), "two") == (
        "the certificate is one's, but the call says two."
    )


@pytest.mark.parametrize("name", ["one", "two", ADDRESS, "", "one." + "0" * 31])
def test_a_common_name_without_a_serial_number_is_refused(aggregator, name):
    assert "is not the common name of a site" in refusal(aggregator, name, "one")


def test_a_certificate_that_is_not_in_the_list_is_refused(aggregator):
    assert "is not the certificate that the member list names" in refusal(
        aggregator, f"one.{5:032x}", "one"
    )
    assert "'four' is not in the member list" in refusal(aggregator, f"four.{5:032x}", "four")


def test_an_older_certificate_of_the_same_site_is_refused(parties, desk, clock):
    old = common_name(parties, "one")
    clock.pass_days(61)
    desk.renew("one")
    hand_out(desk, parties, clock)
    gate = AggregatorGate(str(parties / "aggregator"), clock)
    gate.open(["one", "two"])
    assert "is not the certificate that the member list names" in refusal(gate, old, "one")
    gate.check(common_name(parties, "one"), "one")


def test_a_site_revoked_in_the_middle_is_refused_at_its_next_call(parties, desk, aggregator):
    name = common_name(parties, "one")
    aggregator.check(name, "one")
    desk.revoke("one", "keyCompromise")
    revocation.write_atomically(
        parties / "aggregator" / revocation.FILE, desk.delivery.revocation_list()
    )
    assert "was revoked at" in refusal(aggregator, name, "one")
    assert aggregator.revoked("one")
    assert not aggregator.revoked("two")


def test_a_revocation_is_logged_once_also_of_a_site_that_never_calls_again(
    parties, desk, aggregator, clock
):
    assert "revoked" not in events(parties, "aggregator")
    desk.revoke("two", "keyCompromise")
    revocation.write_atomically(
        parties / "aggregator" / revocation.FILE, desk.delivery.revocation_list()
    )
    aggregator.check(common_name(parties, "one"), "one")
    aggregator.check(common_name(parties, "one"), "one")
    assert events(parties, "aggregator").count("revoked") == 1
    lines = audit.verify(parties / "aggregator" / audit.FILE, [])
    assert next(line["site"] for line in lines if line["event"] == "revoked") == "two"
    aggregator.lock.release()
    AggregatorGate(str(parties / "aggregator"), clock).open(["one", "two"])  # and at each start
    assert events(parties, "aggregator").count("revoked") == 2


def test_a_log_that_cannot_take_a_revocation_is_no_secret(parties, desk, aggregator):
    name = common_name(parties, "two")
    log = parties / "aggregator" / audit.FILE
    log.write_bytes(log.read_bytes().replace(b'"started"', b'"STARTED" '))
    desk.revoke("one", "keyCompromise")
    revocation.write_atomically(
        parties / "aggregator" / revocation.FILE, desk.delivery.revocation_list()
    )
    with pytest.raises(Damaged, match=r"audit.jsonl: its last line .* altered"):
        aggregator.check(name, "two")


def test_a_statement_is_taken_from_a_member_that_is_not_revoked(parties, desk, aggregator, clock):
    site = site_gate(parties, clock)
    site.identify("one")
    signed = site.sign("mask-report/v1", {"round": 0})
    member, statement = aggregator.verify("mask-report/v1", signed, in_force=True)
    assert (member.name, statement) == ("one", {"round": 0})
    with pytest.raises(Refused, match=r"expected a signed approval, got .*mask-report"):
        aggregator.verify("approval", signed, in_force=True)
    with pytest.raises(Refused, match="nobody in the member list"):
        aggregator.verify("x", aggregator.sign("x", {}), in_force=True)  # itself is no site
    desk.revoke("one", "keyCompromise")
    revocation.write_atomically(
        parties / "aggregator" / revocation.FILE, desk.delivery.revocation_list()
    )
    with pytest.raises(Refused, match="was revoked at"):
        aggregator.verify("mask-report/v1", signed, in_force=True)
    assert aggregator.verify("mask-report/v1", signed, in_force=False)  # rounds of the past stand


def test_a_certificate_that_expires_in_the_middle_is_refused(parties, aggregator, clock):
    clock.pass_days(91)
    newest = open_desk(parties / "desk", clock).delivery.revocation_list()
    revocation.write_atomically(parties / "aggregator" / revocation.FILE, newest)
    assert "expired at" in refusal(aggregator, common_name(parties, "one"), "one")


def test_a_refusal_is_logged_once_however_often_the_caller_comes_back(parties, aggregator):
    for _ in range(5):
        refusal(aggregator, common_name(parties, "one"), "two")
    assert events(parties, "aggregator").count("refused") == 1


def test_a_caller_with_ever_new_lies_does_not_fill_the_disk(parties, aggregator):
    for number in range(MOST_A_MINUTE + 20):
        refusal(aggregator, common_name(parties, "one"), f"lie{number}")
    assert events(parties, "aggregator").count("refused") == MOST_A_MINUTE
    aggregator.round_ended(0)
    log = (parties / "aggregator" / audit.FILE).read_text()
    assert log.count('"event": "refused"') == MOST_A_MINUTE + 1
    assert "20 further refusals since" in log


def test_an_approval_of_what_runs_here_lets_a_site_in(parties, aggregator):
    assert not aggregator.has_approved("one")
    aggregator.approve("one", (parties / "one/approvals/approval.json").read_bytes())
    assert aggregator.has_approved("one")
    assert not aggregator.has_approved("two")


def test_a_refusal_keeps_its_kind_on_its_way_to_the_caller(parties, aggregator):
    with pytest.raises(MaskReused, match=f"{MARK}twice"), aggregator.refusing("one"):
        raise MaskReused("twice")
    assert events(parties, "aggregator")[-1] == "refused"


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_no_approval_does_not(aggregator, content):
    with pytest.raises(Refused, match=f"{MARK}.*no signed statement"):
        aggregator.approve("one", content)


def test_a_replayed_approval_of_an_older_bundle_does_not(parties, clock):
    old = (parties / "one/approvals/approval.json").read_bytes()
    for party in ("aggregator", "one", "two"):
        change_code(parties / party)
    approve(parties / "one", "one", clock)
    gate = AggregatorGate(str(parties / "aggregator"), clock)
    gate.open(["one", "two"])
    with pytest.raises(Refused, match="is for bundle"):
        gate.approve("one", old)
    gate.approve("one", (parties / "one/approvals/approval.json").read_bytes())


def test_an_approval_of_something_else_does_not(parties, aggregator, clock):
    change_code(parties / "one")
    approve(parties / "one", "one", clock)
    with pytest.raises(Refused, match="is for bundle"):
        aggregator.approve("one", (parties / "one/approvals/approval.json").read_bytes())


@pytest.mark.parametrize("names", [[], ["one"], ["one", "two", "three"]])
def test_a_roster_that_is_not_the_desks_is_refused(parties, clock, names):
    gate = AggregatorGate(str(parties / "aggregator"), clock)
    with pytest.raises(Refused, match="the member list signed by the desk lists one, two"):
        gate.open(names)


def test_a_site_cannot_act_as_aggregator_with_its_own_certificate(parties, clock):
    """mallory's folder made to look like an aggregator's."""
    workspace = parties / "aggregator"
    for suffix in ("crt", "key"):
        target = workspace / f"cert/server/agg_{ADDRESS}.{suffix}"
        shutil.copy2(parties / f"one/cert/client/col_one.{suffix}", target)
    with pytest.raises(Refused, match="certificate for site, expected one for aggregator"):
        AggregatorGate(str(workspace), clock).open(["one", "two"])


def test_a_lost_key_is_replaced_by_revocation_and_a_new_request(parties, desk, clock):
    stolen = common_name(parties, "one")
    desk.revoke("one", "keyCompromise")
    package = make_request(parties / "one", "one")
    desk.issue(package, words_of(desk, package))
    hand_out(desk, parties, clock)
    gate = AggregatorGate(str(parties / "aggregator"), clock)
    gate.open(["one", "two"])
    assert "was revoked" in refusal(gate, stolen, "one")
    gate.check(common_name(parties, "one"), "one")
