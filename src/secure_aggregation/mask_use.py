"""One update a mask: whether this site may still encrypt for a round, and its mask key, once.

Whatever was copied or set back, a second update under the same masks needs what is gone: the key
lies in memory and is used up (`mask_keys`), and that the round was sealed stands outside the
workspace (`sealed_rounds`).
"""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from src.errors import Refused
from src.secure_aggregation.sealed_rounds import SealedRounds
from src.secure_aggregation.share import Opened
from src.secure_aggregation.site_state import SiteState


class MaskUse:
    """gate: a `SiteGate`. outside: the folder that outlives workspaces."""

    def __init__(self, gate: Any, site: str, state: SiteState, outside: Path) -> None:
        self.site = site
        self.state = state
        certificate = gate.members.site(site).sha256
        self.sealed = SealedRounds(outside, site, gate.members.run, certificate)

    def absence(self, opened: Opened) -> str:
        """Why this site sends no update in a round; "" where it may.

        It then only announces: the round comes to nothing, and the site is in the next. So with a
        roster that holds a revoked site: the aggregator takes nothing of that one either, and the
        next roster is without it.
        """
        if opened.revoked:
            return f"{', '.join(opened.revoked)} of its roster is revoked"
        mine, own = opened.roster.of(self.site), self.state.announcements.get(str(opened.round))
        if mine is None or own is None or mine.text != own["text"]:
            return "the announcement that is here is not in the roster"
        if self.sealed.holds(opened.round):
            return "its update was encrypted before, and is not here: nothing is encrypted twice"
        if not self.state.announcement(opened.round):
            return "its mask key is gone, with a restart of the machine or in a copied workspace"
        return ""

    def take(self, round_number: int) -> X25519PrivateKey:
        """The round's mask key, for its one update. Refused: it was given out before.

        From here on this site has sealed the round, whatever becomes of the update.
        """
        self.sealed.note(round_number)
        private = self.state.take_mask_key(round_number)
        if private is None:
            raise Refused(f"Round {round_number}: its mask key was taken by another process.")
        return private
