"""The ceremony: the desk enrols names, issues after comparison, renews and revokes.

What it hands out afterwards is in `delivery`; what it has done so far stands in the `register`.
"""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from certs import request as requests
from certs.authority import Authority
from certs.delivery import Delivery
from certs.register import GOOD, Issued, Register
from src.errors import InputError, Refused
from src.trust import fingerprint
from src.trust.certificate import AGGREGATOR, ENCRYPTION, SITE, Role

REASONS = tuple(reason.value for reason in x509.ReasonFlags if reason.value != "removeFromCRL")


class Ceremony:
    """The desk's acts, done with its authority.

    now: the clock.
    delivery: what goes out to the parties.

    Every act either succeeds or changes nothing. Refused, InputError: the message says what to do.
    """

    def __init__(self, authority: Authority, now) -> None:
        self.authority = authority
        self._now = now
        self.register = Register.read(authority.folder / "register.json")
        self.delivery = Delivery(authority, self.register, now)

    # -- enrolment ---------------------------------------------------------------------------

    def enrol(self, name: str, role: Role) -> None:
        """Enter a name and its role into the register; only enrolled names get certificates.

        InputError: the name breaks the policy's rule, has another role, or would be a second
            aggregator.
        """
        self.enrol_all([(name, role)])

    def enrol_all(self, parties: Iterable[tuple[str, Role]]) -> None:
        """The same of several, all or none. InputError: as above, of each name that is refused."""
        enrolled = dict(self.register.enrolled)
        faults = []
        for name, role in parties:
            try:
                self.authority.policy.check_name(name, role)
                if enrolled.get(name, role.name) != role.name:
                    raise InputError(
                        f"{name} is enrolled as {enrolled[name]}; one name has one role."
                    )
                others = {known for known in enrolled if known != name}
                if role == AGGREGATOR and AGGREGATOR.name in {enrolled[known] for known in others}:
                    raise InputError("An aggregator is enrolled already; a federation has one.")
                enrolled[name] = role.name
            except InputError as error:
                faults.append(str(error))
        if faults:
            raise InputError("\n".join(faults))
        if enrolled != self.register.enrolled:
            self.register.enrolled = enrolled
            self._save_changed()

    def dismiss(self, name: str) -> None:
        """Leave a party out of the next member list. (Its certificates are revoked separately.)"""
        self.register.role(name)
        del self.register.enrolled[name]
        self._save_changed()

    def inspect(self, path: Path) -> requests.Request:
        """The request in a file, if it may be signed once its words were compared.

        Refused: it asks for a name or a role that is not enrolled, or is malformed.
        """
        request = requests.read(path)
        requests.check(request, self.authority.policy)
        enrolled = self.register.enrolled.get(request.name)
        if enrolled != request.role.name:
            raise Refused(
                f"{path}: {request.name!r} asks for the role {request.role.name}, but is enrolled "
                f"as {enrolled or 'nothing'}. Enrolled: {self.register.listed()}."
            )
        return request

    def issue(self, path: Path, heard: str) -> list[x509.Certificate]:
        """Sign the request in a file, and enter the certificates into the register.

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
        current = self.delivery.current(request.name, request.role)
        if current is not None:
            raise Refused(
                f"{request.name} has a certificate until {current.not_after}. Renew it when it "
                "ends, or revoke it first if its key was lost."
            )
        issued = [self._issue(request.name, request.role, request.speaking.public_key())]
        if request.encryption:
            issued.append(self._issue(request.name, ENCRYPTION, request.encryption.public_key()))
        self._save_changed()
        return issued

    def _issue(self, name: str, role: Role, key: Any) -> x509.Certificate:
        """Issue one certificate and enter it into the register; the caller saves."""
        if not isinstance(key, RSAPublicKey):  # `requests.check` lets no other pass
            raise TypeError(f"expected an RSA key, got {type(key).__name__}")
        certificate = self.authority.issue(name, role, key)
        self.register.issued.append(Issued.of(name, role, certificate))
        return certificate

    # -- over time ---------------------------------------------------------------------------

    def status(self) -> list[tuple[Issued, int, str]]:
        """(the entry, whole days left, its state) of every certificate that was issued."""
        now = self._now()
        return [
            (entry, entry.left(now).days, self.delivery.state(entry))
            for entry in self.register.issued
        ]

    def renew(self, name: str, early: bool = False) -> list[x509.Certificate]:
        """Issue new certificates for the same keys, where they are due; an empty list if none is.

        early: renew even if not due. The old certificates stay good until they expire.
        Refused: the name never had a certificate.
        """
        role = self.register.role(name)
        renewed = []
        for kind in (role, ENCRYPTION) if role == SITE else (role,):
            entries = [
                entry
                for entry in self.register.of(name, kind)
                if not entry.revoked and not entry.replaced
            ]
            if not entries:
                raise Refused(f"{name} has no certificate to renew; it needs a new request.")
            newest = entries[-1]
            if self.delivery.state(newest) == GOOD and not early:
                continue
            self.register.mark(newest, replaced=True)
            renewed.append(self._issue(name, kind, newest.loaded().public_key()))
        if renewed:
            self._save_changed()
        return renewed

    def revoke(self, name: str, reason: str) -> int:
        """Revoke every certificate of a party that is still good; return how many.

        reason: one of RFC 5280's, as `REASONS` lists them.
        """
        self.register.role(name)
        if reason not in REASONS:
            raise InputError(f"reason must be one of {', '.join(REASONS)}, got {reason!r}.")
        now = self._now()
        living = [
            entry
            for entry in self.register.issued
            if entry.name == name and entry.left(now) > timedelta() and not entry.revoked
        ]
        if not living:
            raise Refused(f"{name} has no certificate that is still good: nothing to revoke.")
        for entry in living:
            self.register.mark(entry, revoked={"time": now.isoformat(), "reason": reason})
        self.register.save()
        return len(living)

    def _save_changed(self) -> None:
        """Save; with other members or certificates, the next run is another one."""
        self.register.run = None
        self.register.save()
