"""What only appears when the cases of a data set are compared: one patient twice, odd ones out."""

from collections import Counter

import numpy as np

from src.data.case import SEQUENCES
from src.data.examined import CaseFinding, Examined, edges_mm
from src.data.kinds import KINDS

# How alike the prints of one scan stay that was saved anew, and those of two synthetic patients at
# most: 0.998 with its values rooted, clipped or noisy, against 0.83.
SAME_SCAN = 0.995


def compared(examined: list[Examined]) -> list[CaseFinding]:
    """The findings about cases that were not refused."""
    return [*_duplicates(examined), *_odd_one_out(examined), *_missing_values(examined)]


def _duplicates(examined: list[Examined]) -> list[CaseFinding]:
    """Cases with the same image.

    Under two patients that is an error: training and test would share a person.
    """
    if not examined:
        return []
    prints = np.stack([[np.frombuffer(p, np.float32) for p in case.prints] for case in examined])
    found = []
    for index in range(1, len(examined)):
        # (earlier cases, sequences)
        alike = np.abs(np.einsum("nsc,sc->ns", prints[:index], prints[index])) >= SAME_SCAN
        if not alike.any():
            continue
        first = int(np.argmax(alike.any(axis=1)))
        names = ", ".join(np.array(SEQUENCES)[alike[first]])
        found.append(_duplicate(examined[first], examined[index], names))
    return found


def _duplicate(first: Examined, second: Examined, names: str) -> CaseFinding:
    one, other = first.files, second.files
    if one.patient_id == other.patient_id:
        text = f"Cases {one.case_id} and {other.case_id} have the same image ({names}); one scan?"
        return CaseFinding(other.case_id, "warning", text)
    text = (
        f"Case {other.case_id} (patient {other.patient_id}) has the same image ({names}) as case "
        f"{one.case_id} (patient {one.patient_id}), maybe turned or scaled: expected another "
        "patient. Keep one; public collections overlap."
    )
    return CaseFinding(other.case_id, "error", text)


def _odd_one_out(examined: list[Examined]) -> list[CaseFinding]:
    """Cases whose voxel size differs from the most common one; their patches differ in scale."""
    edges = Counter(tuple(round(edge, 2) for edge in case.spacing_mm) for case in examined)
    if len(edges) < 2:
        return []
    usual = edges.most_common(1)[0][0]
    return [
        CaseFinding(
            case.files.case_id,
            "warning",
            f"Case {case.files.case_id}: voxels of {edges_mm(case.spacing_mm)}, most others have "
            f"{edges_mm(usual)}. Resample them to one size.",
        )
        for case in examined
        if tuple(round(edge, 2) for edge in case.spacing_mm) != usual
    ]


def _missing_values(examined: list[Examined]) -> list[CaseFinding]:
    """Label values that occur nowhere, where that says that they mean something else."""
    labelled = [case for case in examined if case.label_values]
    if not labelled:
        return []
    kind = labelled[0].files.kind
    labels = KINDS[kind].labels
    found = {value for case in labelled for value in case.label_values}
    first = next((c for c in labelled if set(c.label_values) & set(labels.outside)), labelled[0])
    about = f"Case {first.files.case_id} and the whole data set: "
    if found & set(labels.outside) and labels.enhancing not in found:
        text = (
            f"the label has the value {labels.outside[0]}, a cavity in {kind}, and nowhere "
            f"{labels.enhancing}, enhancing tumour. In older BraTS labels 4 is enhancing tumour, "
            "which would be lost: is --kind right?"
        )
    elif len(found) == 1:
        (only,) = found
        text = (
            f"the labels hold no value but {only}. In {kind}: {labels.meaning}. Is it a mask of "
            "the whole tumour? Then it must not be used as it is."
        )
    else:
        return []
    return [CaseFinding(first.files.case_id, "warning", about + text)]
