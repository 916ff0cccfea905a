"""The ceremony: the desk enrols names, issues after comparison, delivers, renews and revokes.

The desk's book (`register.json`) holds what was enrolled, issued and revoked; every step writes it
whole.
"""

import json
import zipfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from certs import request as requests
from certs import run_keys
from certs.authority import Authority, pem
from src.errors import InputError, Refused
from src.files import read_own_json, write_atomically
from src.secure_aggregation.keys import SumKeys
from src.trust import bundle, fingerprint, members, signed_statement
from src.trust.certificate import AGGREGATOR, ENCRYPTION, ROLES, SITE, Role
from src.trust.members import Member, Members

REASONS = tuple(reason.value for reason in x509.ReasonFlags if reason.value != "removeFromCRL")


class Ceremony:
    """The desk's acts, done with its authority.

    now: the clock.

    Every act either succeeds or changes nothing. Refused, InputError: the message says what to do.
    """

    def __init__(self, authority: Authority, now) -> None:
        self.authority = authority
        self._now = now
        self.path = authority.folder / "register.json"
        if self.path.is_file():
            self.book = read_own_json(self.path)
        else:
            self.book = {"enrolled": {}, "issued": [], "crl_number": 0, "run": None}

    # -- enrolment ---------------------------------------------------------------------------

    def enrol(self, name: str, role: Role) -> None:
        """Enter a name and its role into the book; only enrolled names get certificates.

        InputError: the name breaks the policy's rule, has another role, or would be a second
            aggregator.
        """
        self.authority.policy.check_name(name, role)
        known = self.book["enrolled"].get(name)
        if known == role.name:
            return
        if known:
            raise InputError(f"{name} is enrolled as {known}; one name has one role.")
        if role == AGGREGATOR and AGGREGATOR.name in self.book["enrolled"].values():
            raise InputError("An aggregator is enrolled already; a federation has one.")
        self.book["enrolled"][name] = role.name
        self.book["run"] = None
        self._save()

    def inspect(self, path: Path) -> requests.Request:
        """The request in a file, if it may be signed once its words were compared.

        Refused: it asks for a name or a role that is not enrolled, or is malformed.
        """
        request = requests.read(path)
        requests.check(request, self.authority.policy)
        enrolled = self.book["enrolled"].get(request.name)
        if enrolled != request.role.name:
            raise Refused(
                f"{path}: {request.name!r} asks for the role {request.role.name}, but is enrolled "
                f"as {enrolled or 'nothing'}. Enrolled: {self._listed()}."
            )
        return request

    def issue(self, path: Path, heard: str) -> list[x509.Certificate]:
        """Sign the request in a file, and enter the certificates into the book.

        heard: the words that the sender has read out by telephone.
        Refused: the words are not the request's (somebody exchanged it), or a certificate of this
            name is still in force.
        """
        request = self.inspect(path)
        if not fingerprint.same_words(heard, request.sha256):
            raise Refused(
                f"{path}: these are not the words of this request. Either one was misheard, or "
                "the file is not the one that was sent. Nothing was signed."
            )
        current = self.current(request.name, request.role)
        if current is not None:
            raise Refused(
                f"{request.name} has a certificate until {current['not_after']}. Renew it when it "
                "ends, or revoke it first if its key was lost."
            )
        issued = [self._issue(request.name, request.role, request.speaking.public_key())]
        if request.encryption:
            issued.append(self._issue(request.name, ENCRYPTION, request.encryption.public_key()))
        self.book["run"] = None
        self._save()
        return issued

    def _issue(self, name: str, role: Role, key: Any) -> x509.Certificate:
        """Issue one certificate and enter it into the book; the caller saves."""
        assert isinstance(key, RSAPublicKey)
        certificate = self.authority.issue(name, role, key)
        self.book["issued"].append(
            {
                "name": name,
                "role": role.name,
                "serial": f"{certificate.serial_number:x}",
                "sha256": fingerprint.of_certificate(certificate),
                "not_after": certificate.not_valid_after_utc.isoformat(),
                "certificate": pem(certificate).decode(),
                "revoked": None,
                "replaced": False,
            }
        )
        return certificate

    # -- over time ---------------------------------------------------------------------------

    def status(self) -> list[dict[str, Any]]:
        """Every certificate that was issued, as its entry in the book with `days` left and `state`.

        state: "good", "renew" (good, but due), "replaced", "expired" or "revoked (reason)".
        """
        rows = []
        for entry in self.book["issued"]:
            left = datetime.fromisoformat(entry["not_after"]) - self._now()
            state = (
                f"revoked ({entry['revoked']['reason']})"
                if entry["revoked"]
                else "expired"
                if left < timedelta()
                else "replaced"
                if entry["replaced"]
                else "renew"
                if left < timedelta(days=self.authority.policy.renewal_days)
                else "good"
            )
            rows.append(entry | {"days": left.days, "state": state})
        return rows

    def current(self, name: str, role: Role) -> dict[str, Any] | None:
        """The entry of the certificate with which a party speaks now; None if it has none."""
        for row in reversed(self.status()):
            its_own = (row["name"], row["role"]) == (name, role.name)
            if its_own and row["state"] in ("good", "renew"):
                return row
        return None

    def renew(self, name: str, early: bool = False) -> list[x509.Certificate]:
        """Issue new certificates for the same keys, where they are due; an empty list if none is.

        early: renew even if not due. The old certificates stay good until they expire.
        Refused: the name never had a certificate.
        """
        role = self._role(name)
        renewed = []
        for kind in (role, ENCRYPTION) if role == SITE else (role,):
            rows = [row for row in self.status() if (row["name"], row["role"]) == (name, kind.name)]
            rows = [row for row in rows if not row["revoked"] and not row["replaced"]]
            if not rows:
                raise Refused(f"{name} has no certificate to renew; it needs a new request.")
            if rows[-1]["state"] == "good" and not early:
                continue
            old = next(e for e in self.book["issued"] if e["serial"] == rows[-1]["serial"])
            old["replaced"] = True
            key = x509.load_pem_x509_certificate(old["certificate"].encode()).public_key()
            renewed.append(self._issue(name, kind, key))
        if renewed:
            self.book["run"] = None
            self._save()
        return renewed

    def revoke(self, name: str, reason: str) -> int:
        """Revoke every certificate of a party that is still good; return how many.

        reason: one of RFC 5280's, as `REASONS` lists them.
        """
        self._role(name)
        if reason not in REASONS:
            raise InputError(f"reason must be one of {', '.join(REASONS)}, got {reason!r}.")
        now = self._now()
        count = 0
        for entry in self.book["issued"]:
            lives = datetime.fromisoformat(entry["not_after"]) > now
            if entry["name"] == name and lives and not entry["revoked"]:
                entry["revoked"] = {"time": now.isoformat(), "reason": reason}
                count += 1
        if not count:
            raise Refused(f"{name} has no certificate that is still good: nothing to revoke.")
        self.book["crl_number"] += 1
        self._save()
        return count

    # -- what goes out -----------------------------------------------------------------------

    def revocation_list(self) -> bytes:
        """The revocation list as it stands; its number rises with each revocation."""
        entries = [
            {
                "serial": int(entry["serial"], 16),
                "revoked": datetime.fromisoformat(entry["revoked"]["time"]),
                "reason": entry["revoked"]["reason"],
            }
            for entry in self.book["issued"]
            if entry["revoked"]
        ]
        return self.authority.issue_crl(self.book["crl_number"], entries)

    def members(self) -> Members:
        """The member list of all enrolled parties; a new run number if anything has changed.

        Refused: a party has no certificate that is good.
        """
        found = []
        for name, role_name in sorted(self.book["enrolled"].items()):
            role = ROLES[role_name]
            certificate = self._certificate(name, role)
            encryption = self._certificate(name, ENCRYPTION) if role == SITE else None
            found.append(Member(name, role, certificate, encryption))
        if not self.book["run"]:
            self.book["run"] = token_hex(16)
            self.book["keys"] = None
            self._save()
        federation, run = self.authority.federation, self.book["run"]
        keys = self.book.get("keys")
        return members.parse(
            Members(federation, run, tuple(found), keys and keys["commitment"]).statement(),
            name="the book",
        )

    def signed_members(self) -> bytes:
        """The member list, signed by the desk: the same bytes until something changes."""
        path = self.authority.folder / "members.json"
        listed = self.members().statement()
        if path.is_file():
            signed = path.read_bytes()
            if (
                signed_statement.verify(members.KIND, signed, self.authority.desk, name=str(path))
                == listed
            ):
                return signed
        key = self.authority.key("desk")
        write_atomically(
            path, signed_statement.sign(members.KIND, listed, key, self.authority.desk)
        )
        return path.read_bytes()

    def deliver(
        self, out: Path, *, workspace: Path | None = None, new_run: bool = False
    ) -> list[Path]:
        """Write one package for each party, with all that it needs; return their paths.

        `fx collaborator certify --import` takes a site's package, `python -m src receive` takes
        both kinds.
        workspace: the desk's copy. It gets the signed member list, and if its plan encrypts, keys
            are made for this run and bundle and encrypted for each site.
        new_run: the same members start another run, under a new number and with new keys.
        """
        if new_run:
            self.book["run"] = None
        envelopes = self._sealed_keys(workspace) if workspace else {}
        listed = self.members()
        shared = {
            "cert_chain.crt": self.authority.chain,
            "desk.crt": pem(self.authority.desk),
            "members.json": self.signed_members(),
            "revoked.crl": self.revocation_list(),
        }
        packages = []
        for member in listed.members:
            files = dict(shared)
            if member.role == SITE:
                files[f"client/col_{member.name}.crt"] = pem(member.certificate)
                assert member.encryption is not None
                files[f"encryption/col_{member.name}.crt"] = pem(member.encryption)
                if member.name in envelopes:
                    files[f"keys/col_{member.name}.cms"] = envelopes[member.name]
                package = out / f"agg_to_col_{member.name}_signed_cert.zip"
            else:
                files[f"server/agg_{member.name}.crt"] = pem(member.certificate)
                package = out / f"desk_to_agg_{member.name}.zip"
            write_atomically(package, _zipped(files.items()))
            packages.append(package)
        return packages

    def _sealed_keys(self, workspace: Path) -> dict[str, bytes]:
        """Each site's envelope with the run's keys, by name; empty if the plan does not encrypt.

        Keys are made once for a run and a bundle; another bundle (a changed plan, say) is another
        run.
        """
        encrypts = run_keys.encrypts(workspace)
        known = self.book.get("keys")
        if known and (not encrypts or known["bundle"] != self._bundle(workspace)):
            self.book["run"] = None
        listed = self.members()
        if encrypts and not self.book.get("keys"):
            keys = SumKeys.new()
            self.book["keys"] = {"commitment": run_keys.commit(keys)}
            listed = self.members()
            digest = self._bundle(workspace)
            self.book["keys"] |= run_keys.seal(self.authority, listed, digest, keys, self._now())
            self._save()
        self._bundle(workspace)
        return run_keys.envelopes(self.authority, listed) if encrypts else {}

    def _bundle(self, workspace: Path) -> str:
        """The digest of what runs, once the workspace holds the signed list."""
        write_atomically(workspace / members.FILE, self.signed_members())
        return bundle.read(workspace).digest

    # -- the book ----------------------------------------------------------------------------

    def _role(self, name: str) -> Role:
        """The role in which a name is enrolled."""
        if name not in self.book["enrolled"]:
            raise InputError(f"{name!r} is not enrolled. Enrolled: {self._listed()}.")
        return ROLES[self.book["enrolled"][name]]

    def _certificate(self, name: str, role: Role) -> x509.Certificate:
        """The certificate that a party holds in this role. Refused: none is good."""
        entry = self.current(name, role)
        if entry is None:
            raise Refused(
                f"{name} ({role.name}) has no certificate that is good. Issue one, or take the "
                "name out: certify dismiss."
            )
        return x509.load_pem_x509_certificate(entry["certificate"].encode())

    def dismiss(self, name: str) -> None:
        """Leave a party out of the next member list. (Its certificates are revoked separately.)"""
        self._role(name)
        del self.book["enrolled"][name]
        self.book["run"] = None
        self._save()

    def _listed(self) -> str:
        """The enrolled names with their roles, for messages."""
        listed = (f"{name} ({role})" for name, role in sorted(self.book["enrolled"].items()))
        return ", ".join(listed) or "nobody"

    def _save(self) -> None:
        """Write the whole book."""
        write_atomically(self.path, json.dumps(self.book, indent=1))


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """The files as one zip archive, in memory."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()
