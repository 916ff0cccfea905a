"""Check an upload at the aggregator: it is for exactly this site, round, run and parameters."""

from typing import Any

from src.errors import Refused, WireError
from src.secure_aggregation import announcements, framing
from src.secure_aggregation.announcements import Announcement
from src.secure_aggregation.mac import NONCE_BYTES
from src.secure_aggregation.protocol import LEAVE, STOP, UPDATE
from src.strict import hex_bytes


def header(
    message: bytes, gate: announcements.Gate, site: str, round_number: int, parameters: str
) -> dict[str, Any]:
    """The header of what a site sends in a round. Refused: it is for anything else."""
    expected = {
        "run": gate.members.run,
        "round": round_number,
        "site": site,
        "parameters": parameters,
    }
    try:
        found = framing.header(message)
        wrong = [key for key, value in expected.items() if found[key] != value]
        _, announcement = found["kind"], found["announcement"]
        if found["kind"] == UPDATE:
            hex_bytes(found["nonce"], NONCE_BYTES)
    except (WireError, KeyError, TypeError) as error:
        raise Refused(f"not a sealed upload: {error!r}.") from None
    if wrong or not isinstance(announcement, str):
        raise Refused(
            f"an upload for another {', '.join(wrong) or 'round'} than {site}'s of round "
            f"{round_number}."
        )
    return found


def check_announcement(
    found: dict[str, Any], gate: announcements.Gate, site: str, round_number: int
) -> Announcement | None:
    """This site's announcement for the next round, from a header; None: it says why not.

    The reason is LEAVE or STOP: the site's budget of privacy is spent. Refused: neither is there.
    """
    if not found["announcement"]:
        if found.get("left") not in (LEAVE, STOP):
            raise Refused(f"{site} has brought no announcement, and does not say why.")
        return None
    written = announcements.read(gate, found["announcement"], round_number + 1)
    if written.site != site:
        raise Refused(f"{site} has brought the announcement of {written.site}.")
    return written
