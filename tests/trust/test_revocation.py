"""The revocation list bites at the next call, and cannot be turned back."""

import pytest

from src.errors import Refused
from src.trust import revocation
from src.trust.certificate import CertificatePath, read_certificate
from src.trust.revocation import RevocationList
from tests import ceremonies
from tests.ceremonies import open_desk


@pytest.fixture
def desk(parties, clock):
    return open_desk(parties / "desk", clock)


@pytest.fixture
def revocations(parties, desk):
    return RevocationList(parties / "aggregator", desk.authority.signing)


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


def test_an_older_list_cannot_come_back_not_even_after_a_restart(parties, desk, revocations):
    old = desk.delivery.revocation_list()
    desk.revoke("one", "keyCompromise")
    put(parties, desk.delivery.revocation_list())
    revocations.current()
    put(parties, old)
    with pytest.raises(Refused, match="number 0, but number 1 was here before"):
        revocations.current()
    with pytest.raises(Refused, match="Get the newest list"):
        RevocationList(parties / "aggregator", desk.authority.signing)


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


def test_a_list_is_due_after_its_time(revocations, clock):
    assert not revocations.is_due(clock())
    clock.pass_days(93)
    assert revocations.is_due(clock())


def test_the_chain_names_who_signs_the_list(parties, desk):
    chain = CertificatePath.read(parties / "one/cert/cert_chain.crt")
    assert (
        revocation.number(
            revocation.parse(desk.delivery.revocation_list(), chain.signing, name="x")
        )
        == 0
    )
