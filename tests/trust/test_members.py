"""The member list counts only as the desk signed it, with certificates that are good."""

import json

import pytest

from src.errors import Refused
from src.trust import members, signed_statement
from src.trust.certificate import AGGREGATOR, SITE
from tests.ceremonies import ADDRESS, open_desk


@pytest.fixture
def site(parties):
    return parties / "one"


def sign_anew(parties, change, key=None, certificate=None) -> None:
    """The list after `change`, signed by the desk or by another."""
    desk = open_desk(parties / "desk", lambda: None)
    statement = members.parse(
        signed_statement.read(members.KIND, parties / "one" / members.FILE, desk.authority.desk),
        name="x",
    ).statement()
    change(statement)
    signed = signed_statement.sign(
        members.KIND,
        statement,
        key or desk.authority.key("desk"),
        certificate or desk.authority.desk,
    )
    (parties / "one" / members.FILE).write_bytes(signed)


def test_the_list_names_everybody_with_role_and_both_certificates(site, clock):
    found = members.read(site, clock())
    assert found.sites == ["one", "two"]
    assert found.aggregator.name == ADDRESS
    assert found.aggregator.role == AGGREGATOR
    assert found.aggregator.encryption is None
    assert found.site("two").role == SITE
    assert found.site("two").encryption.public_key() != found.site("two").certificate.public_key()
    assert found.federation == "glioma"
    with pytest.raises(Refused, match="its sites are one, two"):
        found.site("mallory")


def test_a_site_cannot_sign_a_list(parties, site, clock):
    from src.trust.certificate import read_certificate, read_key

    path = site / "cert/client/col_one.crt"
    own = read_certificate(path)
    sign_anew(parties, lambda s: s, read_key(path.with_suffix(".key"), own), own)
    with pytest.raises(Refused, match="signature is not by"):
        members.read(site, clock())
    (site / members.DESK_FILE).write_bytes(path.read_bytes())  # posing as the desk
    with pytest.raises(Refused, match="certificate for site, expected one for desk"):
        members.read(site, clock())


def test_a_member_named_with_anothers_certificate_is_refused(parties, site, clock):
    def swap(statement):
        statement["members"][1]["name"] = "mallory"

    sign_anew(parties, swap)
    with pytest.raises(Refused, match="its certificate names another party"):
        members.read(site, clock())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["members"].pop(0), "expected one aggregator"),
        (lambda s: s["members"].append(s["members"][1]), "the same name stands in it twice"),
        (lambda s: s["members"][1].update(encryption=None), "needs an encryption certificate"),
        (lambda s: s["members"][1].update(role="encryption"), "certificate for site, expected"),
        (lambda s: s["members"][1].pop("certificate"), "not a member list"),
        (lambda s: s.pop("run"), "not a member list"),
        (lambda s: s["members"][1].update(role="king"), "not a member list"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_even_if_signed(
    parties, site, clock, change, message
):
    sign_anew(parties, change)
    with pytest.raises(Refused, match=message):
        members.read(site, clock())


def test_one_changed_letter_is_refused(site, clock):
    content = json.loads((site / members.FILE).read_text())
    content["payload"] = content["payload"].replace("A", "B", 1)
    (site / members.FILE).write_text(json.dumps(content))
    with pytest.raises(Refused):
        members.read(site, clock())


def test_a_list_with_an_expired_certificate_is_refused(site, clock):
    clock.pass_days(91)
    with pytest.raises(Refused, match="expired at"):
        members.read(site, clock())


def test_no_list_is_refused(site, clock):
    (site / members.FILE).unlink()
    with pytest.raises(Refused, match="comes with the certificates from the desk"):
        members.read(site, clock())
