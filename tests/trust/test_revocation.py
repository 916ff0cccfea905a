"""The revocation list bites at the next call, and can be neither turned back nor withheld."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from src.errors import Refused
from src.trust import audit, revocation
from src.trust.certificate import CertificatePath, read_certificate
from src.trust.gate import AggregatorGate, SiteGate
from src.trust.revocation import RevocationList
from tests import ceremonies
from tests.ceremonies import Clock, open_desk


@pytest.fixture
def desk(parties, clock):
    return open_desk(parties / "desk", clock)


@pytest.fixture
def revocations(parties, desk, clock):
    return RevocationList(parties / "aggregator", desk.authority.signing, clock)


def serial(parties, site: str) -> int:
    return read_certificate(parties / f"{site}/cert/client/col_{site}.crt").serial_number


def put(parties, content: bytes) -> None:
    revocation.write_atomically(parties / "aggregator" / revocation.FILE, content)


def test_a_revoked_certificate_is_refused_at_the_next_question_without_a_restart(
    parties, desk, revocations
):
    revocations.check(serial(parties, "one"), name="one")
    desk.revoke("one", "keyCompromise")
    put(parties, desk.delivery.revocation_list())
    with pytest.raises(Refused, match=r"certificate of one .* revoked at .* \(keyCompromise\)"):
        revocations.check(serial(parties, "one"), name="one")
    revocations.check(serial(parties, "two"), name="two")


def test_an_older_list_cannot_come_back_not_even_after_a_restart(parties, desk, revocations, clock):
    old = desk.delivery.revocation_list()
    desk.revoke("one", "keyCompromise")
    put(parties, desk.delivery.revocation_list())
    revocations.current()
    put(parties, old)
    with pytest.raises(Refused, match="number 2, but number 3 was here before"):
        revocations.current()
    with pytest.raises(Refused, match="Ask the desk for the newest"):
        RevocationList(parties / "aggregator", desk.authority.signing, clock)


def test_a_list_of_another_authority_is_refused(parties, tmp_path, clock, revocations):
    other = ceremonies.create_desk(tmp_path / "desk", clock)
    put(parties, other.delivery.revocation_list())
    with pytest.raises(Refused, match="not signed by this federation's authority"):
        revocations.current()


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_damaged_list_lets_nobody_in(parties, revocations, content):
    put(parties, content)
    with pytest.raises(Refused, match="not a numbered revocation list"):
        revocations.check(serial(parties, "two"), name="two")


def test_no_list_lets_nobody_in(parties, revocations):
    (parties / "aggregator" / revocation.FILE).unlink()
    with pytest.raises(Refused, match="is missing"):
        revocations.check(serial(parties, "two"), name="two")


def test_the_chain_names_who_signs_the_list(parties, desk):
    chain = CertificatePath.read(parties / "one/cert/cert_chain.crt")
    found = revocation.parse(desk.delivery.revocation_list(), chain.signing, name="x")
    assert revocation.number(found) == 2  # the ceremony's packages held number 1


# -- withheld -----------------------------------------------------------------------------------


def test_a_withheld_revocation_is_believed_no_longer_than_the_old_list_counts(parties, desk, clock):
    """The attack: two's key is stolen and revoked, and whoever carries the files keeps the list."""
    gate = AggregatorGate(str(parties / "aggregator"), clock)
    gate.open(["one", "two"])
    stolen = gate.members.site("two").certificate
    name = stolen.subject.rfc4514_string().removeprefix("CN=")
    desk.revoke("two", "keyCompromise")
    gate.check(name, "two")  # the thief is let in, since nobody here can know
    clock.pass_days(14)
    gate.check(name, "two")
    clock.pass_days(0.001)
    with pytest.raises(Refused, match="counted until 2026-12-07 12:00:00 UTC"):
        gate.check(name, "two")
    with pytest.raises(Refused, match="nobody is talked to"):
        gate.revoked("one")


def test_past_its_lists_end_no_party_starts_nor_goes_on(parties, clock):
    site = SiteGate(str(parties / "one"), clock)
    site.open("one")
    site.check_aggregator()
    clock.pass_days(14.1)
    with pytest.raises(Refused, match="counted until"):
        site.check_aggregator()
    for gate in (SiteGate, AggregatorGate):
        with pytest.raises(Refused, match=r"certify revocations.*python -m src receive"):
            gate(str(parties / ("one" if gate is SiteGate else "aggregator")), clock)


def test_a_newer_list_opens_the_gates_again_without_a_restart(parties, desk, clock):
    site = SiteGate(str(parties / "one"), clock)
    site.open("one")
    clock.pass_days(14.1)
    revocation.write_atomically(parties / "one" / revocation.FILE, desk.delivery.revocation_list())
    site.check_aggregator()


def test_a_list_of_the_future_is_refused(parties, desk, clock):
    ahead = open_desk(parties / "desk", Clock(clock() + timedelta(minutes=6)))
    put(parties, ahead.delivery.revocation_list())
    with pytest.raises(Refused, match=r"a list of the future\. Set this machine's clock"):
        RevocationList(parties / "aggregator", desk.authority.signing, clock)
    clock.pass_days(2 / 24 / 60)  # the desk dates back by five minutes
    RevocationList(parties / "aggregator", desk.authority.signing, clock)


def test_the_lists_end_is_told_days_before_and_once_a_day(parties, clock):
    gate = SiteGate(str(parties / "one"), clock)
    gate.open("one")
    for _ in range(14):
        gate.round_ended(0)
        gate.round_ended(1)
        clock.pass_days(1)
    certificates = [member.certificate for member in gate.members.members]
    lines = audit.verify(parties / "one" / audit.FILE, certificates)
    told = [line for line in lines if line["event"] == "revocation list ends soon"]
    assert [line["time"][:10] for line in told] == [f"2026-12-0{day}" for day in (3, 4, 5, 6)]
    assert {line["until"] for line in told} == {"2026-12-07T12:00:00+00:00"}


# -- handed on ----------------------------------------------------------------------------------


@pytest.fixture
def site(parties, clock):
    gate = SiteGate(str(parties / "one"), clock)
    gate.open("one")
    return gate


def held(parties, party: str = "one") -> bytes:
    return (parties / party / revocation.FILE).read_bytes()


def test_a_higher_number_is_taken_from_whoever_hands_it_on_and_bites_at_once(parties, desk, site):
    desk.revoke(ceremonies.ADDRESS, "keyCompromise")
    newest = desk.delivery.revocation_list()
    assert site.exchange_revocations(newest, "the aggregator") is None
    assert held(parties) == newest
    with pytest.raises(Refused, match=r"certificate of aggregator .* was revoked"):
        site.check_aggregator()


def test_a_newer_list_is_read_by_many_threads_at_once_and_taken_by_one(parties, desk, clock):
    gate = AggregatorGate(str(parties / "aggregator"), clock)
    gate.open(["one", "two"])
    for _ in range(5):
        newest = desk.delivery.revocation_list()
        calls = [lambda newest=newest: gate.exchange_revocations(newest, "one")]
        calls += [lambda: gate.revoked("two")] * 15
        with ThreadPoolExecutor(16) as pool:
            for call in [pool.submit(call) for call in calls]:
                call.result()
    certificates = [member.certificate for member in gate.members.members]
    lines = audit.verify(parties / "aggregator" / audit.FILE, certificates)
    assert sum(line["event"] == "revocation list taken" for line in lines) == 5


def test_a_site_learns_that_it_is_revoked_itself(desk, site):
    desk.revoke("one", "keyCompromise")
    site.exchange_revocations(desk.delivery.revocation_list(), "the aggregator")
    with pytest.raises(Refused, match=r"certificate of one .* was revoked"):
        site.check_aggregator()


def test_an_old_list_replayed_changes_nothing_and_is_answered_with_the_newer(parties, desk, site):
    old = held(parties)
    newest = desk.delivery.revocation_list()
    site.exchange_revocations(newest, "the aggregator")
    assert site.exchange_revocations(newest, "the aggregator") is None
    assert site.exchange_revocations(old, "the aggregator") == newest
    assert held(parties) == newest


def test_what_is_handed_on_is_verified_as_a_file_is(parties, desk, site, clock, tmp_path):
    before = held(parties)
    stranger = ceremonies.create_desk(tmp_path / "desk", clock)
    for _ in range(5):
        foreign = stranger.delivery.revocation_list()
    early = open_desk(parties / "desk", Clock(clock() - timedelta(days=15)))
    ahead = open_desk(parties / "desk", Clock(clock() + timedelta(days=1)))
    newest = desk.delivery.revocation_list()
    for content, reason in (
        (foreign, "not signed by this federation's authority"),
        (ahead.delivery.revocation_list(), "a list of the future"),
        (early.delivery.revocation_list(), "counted until"),
        (newest[:-200], "not a numbered revocation list"),
        (b"", "not a numbered revocation list"),
        (b"x" * (revocation.MOST_BYTES + 1), "at most 1048576 are read"),
    ):
        with pytest.raises(Refused, match=reason):
            site.exchange_revocations(content, "the aggregator")
    assert held(parties) == before
