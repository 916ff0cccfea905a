"""Packages that were packed again on their way are read; what mail has made of them is named."""

import base64
import gzip
import zipfile
from pathlib import Path

import pytest

from certs import request as requests
from src.errors import Refused
from src.trust.carried import as_sent, unpacked
from src.trust.package import receive
from tests.ceremonies import ADDRESS, make_request, open_desk

APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        "


@pytest.fixture
def package(parties, clock, tmp_path) -> Path:
    """The desk's package for site one."""
    open_desk(parties / "desk", clock).delivery.write_packages(tmp_path / "out")
    return tmp_path / "out" / "agg_to_col_one_signed_cert.zip"


def packed_again(package: Path, *, top: str = "", debris: tuple[str, ...] = (), slash: str = "/"):
    """The package as another machine packs it after unpacking."""
    out = package.with_name("again.zip")
    with zipfile.ZipFile(package) as old, zipfile.ZipFile(out, "w") as new:
        if top:
            new.writestr(zipfile.ZipInfo(top), b"")
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo((top + name).replace("/", slash)), old.read(name))
        for name in debris:
            new.writestr(name, APPLE_DOUBLE)
    return out


AGAIN = {
    "by Finder": {"debris": ("__MACOSX/._desk.crt", "__MACOSX/client/._col_one.crt", ".DS_Store")},
    "by Finder, with its folder": {
        "top": "agg_to_col_one_signed_cert/",
        "debris": (
            "agg_to_col_one_signed_cert/.DS_Store",
            "__MACOSX/._agg_to_col_one_signed_cert",
            "__MACOSX/agg_to_col_one_signed_cert/._desk.crt",
        ),
    },
    "by Finder, the second time": {"top": "agg_to_col_one_signed_cert 2/"},
    "by Windows": {"top": "Neuer Ordner (für MRT)/", "debris": ("Thumbs.db", "client/desktop.ini")},
}


@pytest.mark.parametrize("how", AGAIN.values(), ids=AGAIN)
def test_a_package_that_was_packed_again_is_taken_as_it_was_sent(parties, package, clock, how):
    site = parties / "one"
    taken = receive(package, site, clock()).files
    content = {path: path.read_bytes() for path in taken}
    again = receive(packed_again(package, **how), site, clock()).files
    assert {path: path.read_bytes() for path in again} == content
    assert not [path for path in (site / "cert").rglob("*") if path.name.startswith((".", "_"))]


def test_only_one_folder_is_taken_away_and_never_a_way_out():
    assert as_sent(["a/b", "a/c/d"]) == {"a/b": "b", "a/c/d": "c/d"}
    for names in (["../b", "../c"], ["/b", "/c"], ["./b"], ["a", "a/b"]):
        assert as_sent(names) == {name: name for name in names}


@pytest.mark.parametrize("name", ["__MACOSX", "x__MACOSX/y", "DS_Store", "client/_.crt"])
def test_what_is_not_the_debris_of_a_desktop_is_looked_at(name):
    kept = name != "__MACOSX"
    assert (name in as_sent([name, "members.json"])) == kept


def spoiled(package: Path, how: str) -> bytes:
    content = package.read_bytes()
    return {
        "base64": base64.encodebytes(content),
        "a mail": b"Received: from mx\r\nMIME-Version: 1.0\r\n\r\n" + base64.encodebytes(content),
        "a portal": b"\xef\xbb\xbf<!DOCTYPE html><html>Your attachment was quarantined</html>",
        "Outlook": b"\x78\x9f\x3e\x22" + bytes(99),
        "empty": b"",
        "text mode": content.replace(b"\n", b"\r\n"),
        "cut": content[: len(content) // 2],
        "gzip": gzip.compress(content),
    }[how]


SAID = {
    "base64": "a zip file in base64",
    "a mail": "a saved mail; the package is attached",
    "a portal": "a web page",
    "Outlook": r"winmail\.dat",
    "empty": "The file is empty",
    "text mode": "damaged",
    "cut": "damaged",
    "gzip": "a gzip file",
}


@pytest.mark.parametrize(("how", "words"), SAID.items())
def test_what_mail_has_made_of_a_package_is_named(package, tmp_path, how, words):
    (tmp_path / "x.zip").write_bytes(spoiled(package, how))
    with pytest.raises(Refused, match=rf"(?s){words}.*have the original sent again"):
        unpacked(tmp_path / "x.zip", "a package", most_bytes=1 << 20)


def test_windows_backslashes_are_refused_with_the_advice(parties, package, clock):
    with pytest.raises(Refused, match=r"no plain path.*unpacked and packed again on its way"):
        receive(packed_again(package, slash="\\"), parties / "one", clock())


def test_a_zip_file_within_a_zip_file_is_refused_with_its_name(package, tmp_path):
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(package, package.name)
    with pytest.raises(Refused, match=f"Unpack the outer, and take {package.name}"):
        unpacked(tmp_path / "outer.zip", "a package", most_bytes=1 << 20)


@pytest.mark.parametrize("suffix", [".zip.txt", ".zip_", ""])
def test_a_renamed_package_is_what_it_was(parties, package, clock, suffix):
    renamed = package.rename(package.with_suffix("").with_name(f"renamed{suffix}"))
    assert receive(renamed, parties / "one", clock()).files


def test_a_renamed_revocation_list_is_what_it_was(parties, tmp_path, clock):
    renamed = tmp_path / "revoked.crl.txt"
    renamed.write_bytes(open_desk(parties / "desk", clock).delivery.revocation_list())
    assert receive(renamed, parties / "one", clock()).files


def test_the_desk_reads_a_request_that_a_mac_has_packed_again(tmp_path):
    package = make_request(tmp_path, "one")
    debris = ("__MACOSX/._col_one.csr", "__MACOSX/._encryption.csr")
    again = packed_again(package, top="col_one/", debris=debris)
    assert requests.read(again).sha256 == requests.read(package).sha256


def test_the_desk_knows_the_aggregators_request_under_another_suffix(tmp_path):
    request = make_request(tmp_path, ADDRESS, server=True)
    renamed = request.rename(request.with_name(f"{request.name}.txt"))
    assert requests.read(renamed).name == ADDRESS
