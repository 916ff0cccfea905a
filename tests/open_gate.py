"""Gates that let everybody in, for tests of what is done behind them.

The real gates are tested in tests/trust and, between processes, in tests/federation.
"""

from contextlib import contextmanager
from types import SimpleNamespace

from src.errors import Refused


class OpenGate:
    """Members are the names in the certificates; `revoked_sites` is a list for tests to fill."""

    def __init__(self):
        self.bundle = SimpleNamespace(digest="b" * 64)
        self.revoked_sites = []
        self.events = []

    def open(self, names):
        return "run_1"

    def caller(self, common_name):
        self.check(common_name, common_name)
        return common_name

    def check(self, common_name, site):
        if common_name != site:
            raise Refused("another's")

    def has_approved(self, site):
        return True

    def revoked(self, site):
        return site in self.revoked_sites

    def revocations(self):
        return b"list"

    def exchange_revocations(self, content, source):
        self.events.append(("revocations", source))

    @contextmanager
    def refusing(self, site):
        yield

    def approve(self, site, content):
        self.events.append(("approved", site))

    def sending(self, *about):
        self.events.append(("sending", *about[:3]))

    def received(self, *about):
        self.events.append(("received", *about[:3]))

    def round_ended(self, number):
        self.events.append(("round ended", number))

    def log(self, event, **details):
        self.events.append((event, details))


class OpenSiteGate:
    """A site's gate that lets all pass and remembers."""

    def __init__(self, name: str = "one"):
        self.name = name
        self.approval = b"signed"
        self.events = []

    def check_aggregator(self):
        pass

    def exchange_revocations(self, content, source):
        self.events.append(("revocations", source))

    def sending(self, site, round_number, what, blobs):
        self.events.append(("sending", round_number, what))
        return "digest"

    def received(self, site, round_number, what, blobs):
        self.events.append(("received", round_number, what))

    def round_ended(self, number):
        self.events.append(("round ended", number))

    def log(self, event, **details):
        self.events.append((event, details))
