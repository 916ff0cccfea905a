"""`python -m scripts certify`, as the desk types it."""

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from scripts.certify import certify
from src.errors import InputError, Refused
from src.trust import fingerprint
from src.trust.certificate import utc_now
from tests import ceremonies
from tests.ceremonies import ADDRESS, make_request


@pytest.fixture
def passphrase(tmp_path):
    path = tmp_path / "passphrase"
    path.touch(mode=0o600)
    path.write_bytes(ceremonies.PASSPHRASE + b"\n")
    return path


@pytest.fixture
def desk(tmp_path, passphrase):
    folder = tmp_path / "desk"
    typed("init", "--desk", folder, "--federation", "glioma", "--passphrase-file", passphrase)
    typed("enrol", "--desk", folder, "--aggregator", ADDRESS, "--site", "one")
    return folder


def typed(*words, keys: str = "") -> str:
    result = CliRunner().invoke(certify, [str(word) for word in words], input=keys)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def issue_all(desk, passphrase, tmp_path) -> None:
    book = ceremonies.open_desk(desk, utc_now)
    for request in (
        make_request(tmp_path / "aggregator", ADDRESS, server=True),
        make_request(tmp_path / "one", "one"),
    ):
        words = fingerprint.words(book.inspect(request).sha256)
        typed("issue", "--desk", desk, "--passphrase-file", passphrase, request, "--words", words)


def test_the_passphrase_is_asked_for_twice_when_it_is_new(tmp_path):
    keys = "a long passphrase\na long passphrase\n"
    shown = typed("init", "--desk", tmp_path / "d", "--federation", "glioma", keys=keys)
    assert "a long passphrase" not in shown
    assert "Words:" in shown


def test_a_passphrase_file_open_to_others_is_refused(tmp_path, passphrase):
    passphrase.chmod(0o644)
    words = ("init", "--desk", tmp_path / "d", "--federation", "x", "--passphrase-file", passphrase)
    with pytest.raises(InputError, match="chmod 600"):
        typed(*words)


def test_words_are_asked_for_and_compared(desk, passphrase, tmp_path):
    request = make_request(tmp_path / "one", "one")
    with pytest.raises(Refused, match="not the words of this request"):
        typed("issue", "--desk", desk, "--passphrase-file", passphrase, request, keys="no\n")
    assert ceremonies.open_desk(desk, utc_now).register.issued == []


def test_from_requests_to_packages_and_status(desk, passphrase, tmp_path):
    issue_all(desk, passphrase, tmp_path)
    out = tmp_path / "packages"
    shown = typed("deliver", "--desk", desk, "--passphrase-file", passphrase, "--out", out)
    assert {path.name for path in out.iterdir()} == {
        "agg_to_col_one_signed_cert.zip",
        f"desk_to_agg_{ADDRESS}.zip",
    }
    assert "Authority:" in shown
    *rows, due = typed("status", "--desk", desk).splitlines()[1:]
    assert len(rows) == 3
    assert due.startswith("The revocation list counts until ")
    assert all("good" in row for row in rows)


def test_renewing_too_early_changes_nothing(desk, passphrase, tmp_path):
    issue_all(desk, passphrase, tmp_path)
    key = ("--desk", desk, "--passphrase-file", passphrase)
    assert "nothing is due" in typed("renew", *key, "one")
    assert "renewed: one" in typed("renew", *key, "one", "--early")


def test_revoking_writes_the_list_that_parties_receive(desk, passphrase, tmp_path):
    issue_all(desk, passphrase, tmp_path)
    out = tmp_path / "revoked.crl"
    words = ("revoke", "--desk", desk, "--passphrase-file", passphrase, "one", "--out", out)
    assert "2 certificates revoked" in typed(*words)
    assert "BEGIN X509 CRL" in out.read_text()
    assert "revoked" in typed("status", "--desk", desk)


def test_the_list_is_issued_anew_under_a_higher_number_and_says_when_the_next_is_due(
    desk, passphrase, tmp_path
):
    key = ("--desk", desk, "--passphrase-file", passphrase, "--out", tmp_path / "revoked.crl")
    assert "(number 1)" in typed("revocations", *key)
    shown = typed("revocations", *key)
    assert "(number 2)" in shown
    until = f"{datetime.now(UTC) + timedelta(days=14):%F}"
    assert f"counts until {until}" in " ".join(shown.split())


def test_a_folder_that_is_no_desk_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no authority"):
        typed("status", "--desk", tmp_path)
