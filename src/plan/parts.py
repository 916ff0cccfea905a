"""What a plan can exchange: what every part must declare of itself, and what it must offer.

A part is a class that a plan names. One that a plan's guarantees rest on carries `DECLARES`, and
`src.plan.declared` refuses a plan whose parts are silent.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Declares:
    """What a part says of itself, as the class attribute `DECLARES`. None: it does not say.

    leaves: what leaves a site through it, in words; "" where that is nothing.
    privacy: what protects what leaves, in words.
    spends: it gives differential privacy, and books what it spends in the site's ledger.
    per_patient: it ties no two patients together, and nothing of the data leaves or stays in it.
    encrypted: a pipeline encrypts what a site trains; a rule adds what is encrypted.
    private: no metric of a private case leaves through it, unless noised and booked.
    validated_on: whose cases the reported scores are of, in words.
    same_everywhere: the reported scores are one model's on one set of cases.
    """

    leaves: str | None = None
    privacy: str | None = None
    spends: bool | None = None
    per_patient: bool | None = None
    encrypted: bool | None = None
    private: bool | None = None
    validated_on: str | None = None
    same_everywhere: bool | None = None
