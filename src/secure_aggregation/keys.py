"""The two keys that the sites of a run share: one encrypts, one makes the MACs.

The aggregator has neither.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from src.errors import WireError
from src.fields import Fields
from src.secure_aggregation import bfv
from src.strict import base64_bytes, shown

MOST_KEY = 8 << 20  # characters of the encryption key


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
    def of(cls, statement: Mapping[str, Any]) -> "SumKeys":
        """The keys that a statement holds. WireError: it is damaged, or for other parameters."""
        fields = Fields(statement)
        if statement.get("parameters") != json.loads(json.dumps(bfv.parameters())):
            raise WireError(f"made for other parameters: {shown(statement.get('parameters'))}")
        mac = base64_bytes(fields.text("tag_key"))
        if len(mac) != 32:
            raise WireError("expected a MAC key of 32 bytes.")
        return cls(base64_bytes(fields.text("he_key", most=MOST_KEY)), mac)
