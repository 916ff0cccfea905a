"""The journal of a folder of ledgers: one chain through every line of all of them.

Its first line says who has begun the folder, when, and why there was no ledger before; nothing else
begins one, so that an absent ledger is not taken for an empty one. Each line of each ledger is then
noted in it, in the order in which they were written. Its head (how many lines, the last one's hash)
is what a site shows to the others in a run: a ledger that is put back to an older state, or
exchanged for another, no longer has the heads that they have seen.
"""

from collections.abc import Iterable
from pathlib import Path

from src import hash_chain, pem_door
from src.differential_privacy.ledger_file import LedgerFile
from src.differential_privacy.signed_lines import Gate, append_signed, pem
from src.errors import Damaged, InputError, Refused, WireError
from src.fields import check_form
from src.hash_chain import Entry, HashChain
from src.secure_aggregation.heads import LedgerHead

FILE = "journal"
BEGUN, WRITTEN = "begun", "written"
FIRST = dict.fromkeys(("event", "time", "by", "why", "certificate"), "text")
NOTED = {"ledger": "text", "line": "whole", "sha256": "text"}


def head(lines: list[Entry]) -> LedgerHead:
    """The head of a journal's lines."""
    return LedgerHead(len(lines), hash_chain.digest(lines[-1]))


def is_begun(folder: Path) -> bool:
    """Whether a journal lies in the folder."""
    path = folder / FILE
    return path.is_file() and path.stat().st_size > 0  # a crash may have torn its first line


def read(folder: Path) -> list[Entry]:
    """The journal's lines, its chain checked.

    Refused: no ledger was begun in the folder. Damaged: it is.
    """
    if not is_begun(folder):
        raise Refused(
            f"No ledger was begun in {folder}. Either this is the first private run here, or the "
            "ledger lies elsewhere (another GLIOMA_LEDGER, another user or HOME, a container "
            "without its volume), or was lost: then all that was spent of these patients would be "
            "counted as nothing. Find it, and restore it. Only if there never was one: "
            "python -m src ledger begin"
        )
    lines = hash_chain.read(folder / FILE)
    try:
        check_form(lines[0], FIRST)
        for line in lines[1:]:
            check_form(line, NOTED)
        pem_door.certificate(lines[0]["certificate"].encode())
    except (WireError, ValueError) as error:
        raise Damaged(f"{folder / FILE} is no journal: {error} Restore the folder.") from None
    if lines[0]["event"] != BEGUN:
        raise Damaged(f"{folder / FILE} does not begin as a journal does. Restore the folder.")
    return lines


def begin(folder: Path, ledgers: list[LedgerFile], gate: Gate, site: str, by: str, why: str) -> int:
    """Write the first line, and note what earlier versions of this kit have written; how many.

    ledgers: those that lie in the folder already. InputError: it was begun before, or nobody says
    who and why.
    """
    if is_begun(folder):
        first = read(folder)[0]
        raise InputError(
            f"A ledger was begun in {folder} at {first['time']} by {first['by']}: {first['why']}"
        )
    if not by.strip() or not why.strip():
        raise InputError("Say who begins the ledger (--by) and why there is none yet (--why).")
    chain = HashChain(folder / FILE, mode=0o600)
    content = {"site": site, "by": by, "why": why, "found": len(ledgers), "certificate": pem(gate)}
    append_signed(chain, gate, BEGUN, **content)
    return catch_up(folder, ledgers)


def note(folder: Path, ledger: str, line: int, sha256: str) -> None:
    """Note a line that was just written to a ledger."""
    HashChain(folder / FILE).append(event=WRITTEN, ledger=ledger, line=line, sha256=sha256)


def catch_up(folder: Path, ledgers: Iterable[LedgerFile]) -> int:
    """Note lines that a crash has kept from the journal, or that are older than it; how many."""
    lines = read(folder)
    known = {(line["ledger"], line["line"]) for line in lines[1:]}
    missing = [
        (ledger_file.path.name, line["n"], hash_chain.digest(line))
        for ledger_file in ledgers
        for line in ledger_file.lines
        if (ledger_file.path.name, line["n"]) not in known
    ]
    for entry in missing:
        note(folder, *entry)
    return len(missing)


def compare(folder: Path, lines: list[Entry], ledgers: Iterable[LedgerFile]) -> None:
    """Damaged if a ledger does not hold a line that the journal has noted."""
    held = {
        ledger_file.path.name: [hash_chain.digest(line) for line in ledger_file.lines]
        for ledger_file in ledgers
    }
    for noted in lines[1:]:
        found = held.get(noted["ledger"], [])
        if noted["line"] >= len(found) or found[noted["line"]] != noted["sha256"]:
            raise Damaged(
                f"{folder / noted['ledger']} has no line {noted['line']} as {folder / FILE} has "
                "noted it: the ledger was lost, cut off or put back to an older state. Restore the "
                "whole folder from the newest backup; what is spent is not known until then."
            )
