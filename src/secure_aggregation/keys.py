"""The sites' two keys of a run: one encrypts, one makes the macs. The aggregator has neither."""

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field

from src.secure_aggregation import bfv


@dataclass(frozen=True)
class SumKeys:
    """he: the secret key of the scheme. mac: 32 bytes. Never printed."""

    he: bytes = field(repr=False)
    mac: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "SumKeys":
        """From the operating system's generator."""
        return cls(bfv.new_key(), os.urandom(32))

    def commitment(self, salt: bytes) -> str:
        """SHA-256 over salt and keys, in hex: what the member list says of them."""
        return hashlib.sha256(salt + self.mac + self.he).hexdigest()

    def statement(self) -> dict[str, object]:
        """As JSON, for the sealed envelope."""
        return {
            "parameters": bfv.parameters(),
            "he_key": base64.b64encode(self.he).decode(),
            "tag_key": base64.b64encode(self.mac).decode(),
        }

    @classmethod
    def of(cls, statement: dict) -> "SumKeys":
        """From a statement. ValueError: made for other parameters, or damaged."""
        if statement.get("parameters") != json.loads(json.dumps(bfv.parameters())):
            raise ValueError(f"made for other parameters: {statement.get('parameters')}")
        mac = base64.b64decode(statement["tag_key"], validate=True)
        if len(mac) != 32:
            raise ValueError("the mac key has not 32 bytes.")
        return cls(base64.b64decode(statement["he_key"], validate=True), mac)
