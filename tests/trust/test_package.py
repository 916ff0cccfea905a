"""What comes from the desk replaces nothing unless all of it is good."""

import shutil
import zipfile

import pytest
import yaml

from src.errors import Refused, WorkspaceHeld
from src.trust import encryption_key, revocation
from src.trust.lock import WorkspaceLock
from src.trust.package import receive
from tests import ceremonies
from tests.ceremonies import ADDRESS, make_request, open_desk, words_of


@pytest.fixture
def desk(parties, clock):
    return open_desk(parties / "desk", clock)


@pytest.fixture
def packages(desk, tmp_path):
    desk.delivery.write_packages(tmp_path / "out")
    return tmp_path / "out"


def snapshot(folder) -> dict:
    return {path: path.read_bytes() for path in (folder / "cert").rglob("*") if path.is_file()}


def rewritten(package, **changes):
    with zipfile.ZipFile(package) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {name.replace("__", "/"): data for name, data in changes.items()}
    out = package.with_name("altered.zip")
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)
    return out


def test_the_aggregators_package_brings_the_roster(parties, packages, clock):
    (parties / "aggregator/plan/cols.yaml").unlink()
    taken = receive(packages / f"desk_to_agg_{ADDRESS}.zip", parties / "aggregator", clock())
    roster = yaml.safe_load((parties / "aggregator/plan/cols.yaml").read_text())
    assert roster == {"collaborators": ["one", "two"]}
    assert not taken.root_is_new


def test_a_first_package_shows_its_authority(parties, packages, clock):
    (parties / "one/cert/cert_chain.crt").unlink()
    package = packages / "agg_to_col_one_signed_cert.zip"
    assert receive(package, parties / "one", clock()).root_is_new


def test_where_a_process_runs_a_package_waits_for_its_end_and_a_revocation_list_does_not(
    parties, desk, packages, tmp_path, clock
):
    newer = tmp_path / "revoked.crl"
    newer.write_bytes(desk.delivery.revocation_list())
    package = packages / "agg_to_col_one_signed_cert.zip"
    before = snapshot(parties / "one")
    running = WorkspaceLock(parties / "one", clock)
    with running.held():
        with pytest.raises(WorkspaceHeld, match="End that one, or leave it"):
            receive(package, parties / "one", clock())
        assert snapshot(parties / "one") == before
        assert receive(newer, parties / "one", clock()).files
    assert receive(package, parties / "one", clock()).files


def test_another_partys_package_is_refused(parties, packages, clock):
    before = snapshot(parties / "one")
    with pytest.raises(Refused, match=r"col_two\.key is missing"):
        receive(packages / "agg_to_col_two_signed_cert.zip", parties / "one", clock())
    assert snapshot(parties / "one") == before


def test_another_authoritys_package_is_refused(parties, tmp_path, clock):
    other = ceremonies.create_desk(tmp_path / "desk", clock)
    requests = [parties / f"aggregator/cert/server/agg_{ADDRESS}.csr"]
    requests += [parties / f"{s}/col_{s}_to_agg_cert_request.zip" for s in ("one", "two")]
    for request in requests:
        other.issue(request, words_of(other, request))
    other.delivery.write_packages(tmp_path / "out")
    package = tmp_path / "out" / "agg_to_col_one_signed_cert.zip"
    before = snapshot(parties / "one")
    with pytest.raises(Refused, match="of another authority than the one known here"):
        receive(package, parties / "one", clock())
    assert snapshot(parties / "one") == before
    receive(package, parties / "one", clock(), new_root=True)


@pytest.mark.parametrize("name", ["../evil", "plan__plan.yaml", "src__x.py", "client__a__b.crt"])
def test_a_package_with_anything_else_in_it_is_refused(parties, packages, clock, name):
    package = rewritten(packages / "agg_to_col_one_signed_cert.zip", **{name: b"x"})
    with pytest.raises(Refused, match=r"wrong or missing|no plain path"):
        receive(package, parties / "one", clock())


def test_a_package_without_its_revocation_list_is_refused(parties, packages, clock):
    package = rewritten(packages / "agg_to_col_one_signed_cert.zip", **{"revoked.crl": None})
    with pytest.raises(Refused, match=r"wrong or missing: revoked\.crl"):
        receive(package, parties / "one", clock())


def test_an_altered_member_list_in_a_package_is_refused(parties, packages, clock):
    package = rewritten(packages / "agg_to_col_one_signed_cert.zip", **{"members.json": b"{}"})
    before = snapshot(parties / "one")
    with pytest.raises(Refused, match="no signed statement"):
        receive(package, parties / "one", clock())
    assert snapshot(parties / "one") == before


def test_what_is_no_package_is_refused(parties, tmp_path, clock):
    (tmp_path / "x.zip").write_bytes(b"nonsense")
    with pytest.raises(Refused, match="not a package of the desk"):
        receive(tmp_path / "x.zip", parties / "one", clock())


def test_a_newer_revocation_list_comes_alone_and_an_older_one_is_refused(
    parties, desk, packages, tmp_path, clock
):
    old, new = tmp_path / "old.crl", tmp_path / "new.crl"
    old.write_bytes(desk.delivery.revocation_list())
    desk.revoke("two", "cessationOfOperation")
    new.write_bytes(desk.delivery.revocation_list())
    workspace = parties / "aggregator"
    receive(new, workspace, clock())
    revocation.RevocationList(workspace, desk.authority.signing, clock)  # a party has seen it
    with pytest.raises(Refused, match="older than the one known here"):
        receive(old, workspace, clock())
    with pytest.raises(Refused, match="older than the one known here"):
        receive(packages / f"desk_to_agg_{ADDRESS}.zip", workspace, clock())
    assert (workspace / revocation.FILE).read_bytes() == new.read_bytes()


def test_a_sealing_request_needs_the_first_request(tmp_path):
    with pytest.raises(Refused, match="First: fx collaborator generate-cert-request -n one"):
        encryption_key.request(tmp_path, "one")


def test_a_sealing_key_is_made_once_and_for_its_owner_alone(tmp_path):
    make_request(tmp_path, "one")
    key = tmp_path / "cert/encryption/col_one.key"
    before = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    encryption_key.request(tmp_path, "one")
    assert key.read_bytes() == before


def test_a_request_package_holds_no_key(tmp_path):
    with zipfile.ZipFile(make_request(tmp_path, "one")) as archive:
        assert sorted(archive.namelist()) == ["col_one.csr", "encryption.csr"]
        assert all(b"PRIVATE" not in archive.read(name) for name in archive.namelist())


def test_fx_leftovers_of_other_requests_do_not_travel(tmp_path):
    package = make_request(tmp_path, "one", sealed=False)
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr("col_one.crt", b"an old certificate")
    encryption_key.request(tmp_path, "one")
    with zipfile.ZipFile(package) as archive:
        assert sorted(archive.namelist()) == ["col_one.csr", "encryption.csr"]
    shutil.rmtree(tmp_path / "cert")
