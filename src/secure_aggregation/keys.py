"""The two keys that the sites of a run share: one encrypts, one makes the MACs.

The aggregator has neither.
"""

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field

from src.errors import WireError
from src.secure_aggregation import bfv


@dataclass(frozen=True)
class SumKeys:
    """The keys of a run's encrypted sums. They are never printed.

    he: the secret key of the homomorphic encryption.
    mac: 32 bytes, the key of the MACs.
    """

    he: bytes = field(repr=False)
    mac: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "SumKeys":
        """New keys from the operating system's generator."""
        return cls(bfv.new_key(), os.urandom(32))

    def commitment(self, salt: bytes) -> str:
        """SHA-256 over salt and keys, in hex: the commitment in the member list."""
        return hashlib.sha256(salt + self.mac + self.he).hexdigest()

    def statement(self) -> dict[str, object]:
        """The keys as JSON, for a site's envelope."""
        return {
            "parameters": bfv.parameters(),
            "he_key": base64.b64encode(self.he).decode(),
            "tag_key": base64.b64encode(self.mac).decode(),
        }

    @classmethod
    def of(cls, statement: dict) -> "SumKeys":
        """The keys that a statement holds. WireError: it is damaged, or for other parameters."""
        if statement.get("parameters") != json.loads(json.dumps(bfv.parameters())):
            raise WireError(f"made for other parameters: {statement.get('parameters')}")
        mac = base64.b64decode(statement["tag_key"], validate=True)
        if len(mac) != 32:
            raise WireError("expected a MAC key of 32 bytes.")
        return cls(base64.b64decode(statement["he_key"], validate=True), mac)
