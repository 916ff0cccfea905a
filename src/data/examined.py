"""What quality control found: about one case, and what it keeps to compare cases."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from src.data.case import CaseFiles


@dataclass(frozen=True)
class CaseFinding:
    """Something that was found about a case; the message names the case.

    severity: "error" (the case must not be used) or "warning".
    """

    case_id: str
    severity: Literal["error", "warning"]
    message: str


@dataclass(frozen=True)
class Examined:
    """The results of reading a case once.

    findings: about this case alone.
    prints: of each sequence (`src.data.voxel_identity.prints`), float32; none if it is refused.
    volumes_ml: of WT, TC, ET; None without a label or if the case is refused.
    label_values: that occur in the label, but for 0.
    """

    files: CaseFiles
    findings: tuple[CaseFinding, ...]
    prints: tuple[bytes, ...] = ()
    spacing_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    volumes_ml: dict[str, float] | None = None
    label_values: tuple[int, ...] = ()


def edges_mm(values: Iterable[float]) -> str:
    """Lengths along X, Y, Z, for messages."""
    return " x ".join(f"{value:.3g}" for value in values) + " mm"
