"""Every parser of what comes from outside, with good samples of what it reads.

A sample is bytes, or a value that is written (and, where it is signed in life, signed) after it was
changed: so the changes reach what stands behind digests and signatures, as a dishonest member's do.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certs import request
from src import hash_chain, strict
from src.plan import plan as plans
from src.plan import rules
from src.rounds import tensor_bytes
from src.secure_aggregation import announcements, framing, upload
from src.secure_aggregation.keys import SumKeys
from src.trust import approval, audit, members, package, revocation, signed_statement
from src.trust import certificate as certificates
from tests.ceremonies import START, open_desk
from tests.fuzz import mutations
from tests.secure_aggregation.sealing import Federation, models_of

Random = np.random.Generator


@dataclass(frozen=True)
class Parser:
    """read: takes bytes. samples: good ones. written: makes bytes of a changed value."""

    read: Callable[[bytes], object]
    samples: list[Any]
    written: Callable[[Any], bytes] = field(default=bytes)

    def good(self) -> list[bytes]:
        """The samples unchanged."""
        return [self.written(sample) for sample in self.samples]

    def changed(self, rng: Random) -> bytes:
        """A sample after some changes."""
        sample = self.samples[rng.integers(0, len(self.samples))]
        if isinstance(sample, bytes):
            return mutations.of_bytes(rng, sample)
        try:
            return self.written(mutations.of_value(rng, sample))
        except (ValueError, TypeError, RecursionError):  # cannot be written as JSON or YAML at all
            return mutations.of_bytes(rng, self.written(sample))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def of_the_federation(federation: Federation) -> dict[str, Parser]:
    """What sites and aggregator of an encrypted run send each other."""
    one, aggregator = federation.sites["one"], federation.aggregator
    models = models_of(federation)
    federation.play(models)
    download = aggregator.model(1)
    one.open(download)
    sent = one.seal(models["one"], federation.cases["one"])
    gate = federation.gate("one")
    told = framing.header(sent)
    records = framing.records(sent, count=1, most_bytes=1 << 24)

    def upload_of(content: bytes) -> None:
        parameters = told["parameters"]
        header = upload.header(content, federation.gate(), "one", 1, parameters)
        upload.check_announcement(header, federation.gate(), "one", 1)
        framing.records(content, count=1, most_bytes=1 << 24)

    statement = json.loads(strict.base64_bytes(json.loads(told["announcement"])["payload"]))
    return {
        "message": Parser(lambda content: framing.header(content), [download[:20_000]]),
        "download": Parser(one.verification.read, [download]),
        "download, header": Parser(
            one.verification.read,
            [framing.header(download)],
            lambda value: _framed(value, framing.records(download, count=1, most_bytes=1 << 24)),
        ),
        "upload": Parser(upload_of, [sent]),
        "upload, header": Parser(upload_of, [told], lambda value: _framed(value, records)),
        "announcement": Parser(
            lambda content: announcements.read(gate, content.decode(errors="replace"), 2),
            [told["announcement"].encode()],
        ),
        "announcement, signed": Parser(
            lambda content: announcements.read(gate, content.decode(errors="replace"), 2),
            [statement],
            lambda value: gate.sign(announcements.KIND, value),
        ),
        "keys": Parser(
            lambda content: SumKeys.of(strict.json_value(content)),
            [json.loads(json.dumps(federation.keys.statement()))],
            _json,
        ),
    }


def _framed(value: Any, records: list[memoryview]) -> bytes:
    """A message with another header, its digest of the records right where it can be."""
    if isinstance(value, dict):
        return framing.pack(value, records)
    text = _json(value)
    return framing.MAGIC + len(text).to_bytes(4, "little") + text


def of_the_ceremony(parties: Path) -> dict[str, Parser]:
    """What desk and parties hand each other as files, and what each reads of its own."""
    one = parties / "one"
    listed = members.read(one, START)
    own = certificates.read_key(one / "cert/client/col_one.key", listed.site("one").certificate)
    return _signed(one, listed, own) | _in_files(parties, listed, own)


def _signed(one: Path, listed: members.Members, own: RSAPrivateKey) -> dict[str, Parser]:
    """What the desk or a site has signed."""
    site = listed.site("one")
    chain = certificates.CertificatePath.read(one / members.CHAIN_FILE)
    desk = certificates.read_certificate(one / members.DESK_FILE)
    signed_list = (one / members.FILE).read_bytes()
    approved = (one / approval.FILE).read_bytes()
    statement = json.loads(strict.base64_bytes(json.loads(approved)["payload"]))

    def envelope(content: bytes) -> object:
        return signed_statement.verify(members.KIND, content, desk, name="the list")

    def approves(content: bytes) -> object:
        return approval.verify(content, site, listed.run, statement["bundle"], name="one's")

    return {
        "envelope": Parser(envelope, [signed_list]),
        "envelope, fields": Parser(envelope, [json.loads(signed_list)], _json),
        "members": Parser(
            lambda content: members.parse(strict.json_value(content), name="the list"),
            [json.loads(_json(listed.statement()))],
            _json,
        ),
        "approval": Parser(approves, [approved]),
        "approval, signed": Parser(
            approves,
            [statement],
            lambda value: signed_statement.sign(approval.KIND, value, own, site.certificate),
        ),
        "revocation list": Parser(
            lambda content: revocation.parse(content, chain.signing, name="revoked.crl"),
            [(one / revocation.FILE).read_bytes()],
        ),
    }


def _in_files(parties: Path, listed: members.Members, own: RSAPrivateKey) -> dict[str, Parser]:
    """Archives and logs, each read from a file."""
    one, scratch = parties / "one", parties / "scratch"
    scratch.mkdir()
    desk = open_desk(parties / "desk", lambda: START)  # type: ignore[arg-type]
    desk.delivery.write_packages(scratch / "packages", workspace=parties / "aggregator")
    packed = scratch / "packages" / "agg_to_col_one_signed_cert.zip"
    certificate = listed.site("one").certificate
    log = audit.AuditLog(scratch / "audit.jsonl", "one", lambda: START)
    for number in range(3):
        log.write("received", site="one", round=number, what="train", digest="ab" * 32)
    log.sign(own, certificate, round=0)

    def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        path = scratch / name

        def written(content: bytes) -> object:
            path.write_bytes(content)
            return read(path)

        return written

    requested = in_file("col_one_to_agg_cert_request.zip", request.read)
    received = in_file("package.zip", lambda path: package.receive(path, one, START))
    logged = in_file("read.jsonl", lambda path: audit.verify(path, [certificate]))
    return {
        "request": Parser(requested, [(one / "col_one_to_agg_cert_request.zip").read_bytes()]),
        "package": Parser(received, [packed.read_bytes()]),
        "package, files": Parser(received, [_files(packed)], _zipped),
        "audit log": Parser(logged, [log.path.read_bytes()]),
        "audit log, lines": Parser(logged, [hash_chain.read(log.path)], chained_anew),
    }


def of_files(plan: Path, folder: Path) -> dict[str, Parser]:
    """Plans and tensors."""
    path = folder / "plan.yaml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        rules.check(plans.read(path))

    complete = plans.read(plan)
    arrays = [np.arange(12, dtype=np.float32).reshape(3, 4), np.array(0.5)]
    return {
        "plan": Parser(read, [yaml.safe_dump(complete).encode()]),
        "plan, values": Parser(read, [complete], lambda value: yaml.safe_dump(value).encode()),
        "tensor": Parser(tensor_bytes.decode, [tensor_bytes.encode(array) for array in arrays]),
    }


def _files(path: Path) -> dict[str, str]:
    return {
        n: c.decode("latin-1")
        for n, c in strict.zip_files(path.read_bytes(), most_bytes=1 << 22).items()
    }


def chained_anew(lines: Any) -> bytes:
    """Lines as somebody who can write the file would chain them anew. ValueError: no lines."""
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise ValueError(lines)
    content, previous = b"", hash_chain.START
    for number, line in enumerate(lines):
        chained = {**line, "n": number, "previous": previous}
        previous = hash_chain.digest(chained)
        content += hash_chain.encoded(chained)
    return content


def _zipped(files: Any) -> bytes:
    """A zip archive of texts by name. ValueError: that is none."""
    if not isinstance(files, dict):
        raise ValueError(files)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name or "-", str(content).encode("latin-1", "replace"))
    return buffer.getvalue()
