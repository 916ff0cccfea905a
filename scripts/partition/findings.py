"""What `prepare` says about a data set, in one go: what is refused, and what to look at."""

from pathlib import Path

from src.data.case import CaseFiles
from src.data.clinical import Clinical, unmatched
from src.data.quality import CaseFinding
from src.data.shared_patients import perhaps_one
from src.data.unused import debris_in, told, unused_in
from src.errors import CaseError


def notes_on(
    data: Path,
    kind: str,
    cases: list[CaseFiles],
    refused: dict[str, CaseError],
    clinical: Clinical,
) -> list[str]:
    """What somebody should look at although it refuses nothing: what is used by nothing."""
    unused = unused_in(data, kind, cases, refused)
    notes = told(data, unused, len(cases), len(refused))
    notes += [debris] if (debris := debris_in(data)) else []
    notes += clinical.notes + unmatched(clinical, cases, refused)
    return notes + perhaps_one({case.patient_id for case in cases})


def refusal(
    findings: list[CaseFinding], faults: list[str], notes: list[str], bad: int, total: int
) -> str:
    """Everything that is wrong, and everything to look at, so that one run tells all of it.

    bad: cases that are refused and may not be left out.
    """
    errors = [finding.message for finding in findings if finding.severity == "error"]
    looks = [finding.message for finding in findings if finding.severity == "warning"] + notes
    lines = [f"{bad} of {total} cases are refused, nothing was written:"] if bad else []
    lines += [f"  - {text}" for text in errors]
    if faults:
        lines += ["What is said about the cases cannot be used, nothing was written:"]
        lines += [f"  - {line}" for fault in faults for line in fault.splitlines()]
    if looks:
        lines += ["To look at, though it refuses nothing:", *(f"  - {text}" for text in looks)]
    if bad:
        lines.append("Mend the refused cases, or leave them out with --skip-bad.")
    return "\n".join(lines)
