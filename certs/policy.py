"""The desk's rules, read from policy.yaml: algorithms, lifetimes, names."""

import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from src import names
from src.errors import InputError, WireError
from src.files import bounded
from src.strict import MOST_YAML_BYTES, yaml_value
from src.trust.certificate import SITE, Role

POLICY = Path(__file__).with_name("policy.yaml")
HASHES = {"sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}


@dataclass(frozen=True)
class Policy:
    """The content of certs/policy.yaml. InputError: a setting is out of range.

    key_bits: smallest RSA key that is accepted, and the size of the authority's own.
    hash: of signatures, by its name in `HASHES`.
    days: lifetimes of root, signing, desk and leaf certificates, and of a revocation list.
    renewal_days: a certificate may be renewed in its last so many days.
    backdate_minutes: how far the start of a certificate or revocation list lies in the past, for
        clocks that are slow.
    site_name, aggregator_name: regular expressions that enrolled names must match.
    """

    key_bits: int
    hash: str
    days: dict[str, int]
    renewal_days: int
    backdate_minutes: int
    site_name: str
    aggregator_name: str

    def __post_init__(self) -> None:
        if self.key_bits < 3072:
            raise InputError(f"policy: key_bits must be 3072 or more, got {self.key_bits}.")
        if self.hash not in HASHES:
            raise InputError(f"policy: hash must be one of {', '.join(HASHES)}, got {self.hash}.")
        if not 0 < self.days["leaf"] <= self.days["signing"] <= self.days["root"]:
            raise InputError("policy: days must grow from leaf to signing to root.")
        if self.days["revocation_list"] < 1:
            raise InputError("policy: days.revocation_list must be 1 or more.")
        if self.renewal_days >= self.days["leaf"]:
            raise InputError("policy: renewal_days must be fewer than days.leaf.")

    @classmethod
    def read(cls, path: Path) -> "Policy":
        """Read the rules from YAML. InputError: a setting is unknown or missing."""
        try:
            return cls(**yaml_value(bounded(path, MOST_YAML_BYTES)))
        except (WireError, TypeError) as error:
            raise InputError(f"{path}: {error}") from None

    def check_name(self, name: str, role: Role) -> None:
        """InputError if the name cannot be enrolled in this role."""
        rule = self.site_name if role == SITE else self.aggregator_name
        (names.check_site if role == SITE else names.check_host)(name)
        if not re.fullmatch(rule, name):
            raise InputError(
                f"{name!r} is no name for the role {role.name} under this desk's own policy.yaml, "
                f"which asks for {rule}"
            )
