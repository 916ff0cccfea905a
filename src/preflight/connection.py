"""The line to the aggregator: name, port, proxy, TLS, identity, bundle, clock, in seconds."""

import os
from collections.abc import Iterator

from cryptography.hazmat.primitives.serialization import Encoding

from src.engines.openfl.introduction import introduce
from src.network.line import TIMEOUT_S, Line
from src.network.tls import Credentials
from src.preflight.finding import Examination, State
from src.trust import members
from src.trust.certificate import CertificatePath
from src.trust.party import own_certificate


def line(examination: Examination) -> Iterator[tuple[State, str]]:
    """Try the connection step by step; the first step that fails is named, with the reason."""
    name = examination.name
    if name is None:
        return
    listed = examination.members  # without these nobody could be recognised
    chain = CertificatePath.read(examination.workspace / members.CHAIN_FILE)
    own_certificate(examination.workspace, listed.site(name), chain, examination.now)
    host, port = examination.address
    credentials = Credentials(
        certificate=examination.workspace / "cert" / "client" / f"col_{name}.crt",
        authorities=examination.workspace / members.CHAIN_FILE,
        expected=listed.aggregator.certificate.public_bytes(Encoding.DER),
    )
    found = Line(host, port, credentials, os.environ)
    found.check(examination.time)
    answer = introduce(examination.workspace, name, listed, host, port, TIMEOUT_S)
    if answer.problem:
        yield "fail", answer.problem
        return
    if warning := answer.clock(examination.time):
        yield "warn", warning
    way = found.way
    yield (
        "warn" if way.misread else "ok",
        f"{host}:{port}, reached {way.words}, is the aggregator, and it runs what this site has "
        "approved",
    )
