"""Scores of a site's validation cases: the part that the task runner is handed as `metrics`."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from src import require
from src.data.preprocess import PreparedCase
from src.data.regions import REGIONS
from src.errors import CaseError
from src.evaluation.metrics import case_scores, dice, site_scores

Score = dict[str, Any]
Scored = tuple[Score, PreparedCase, np.ndarray]


@dataclass(frozen=True)
class RegionScores:
    """Dice and, where asked, HD95 in mm, per region, and their means over cases.

    shown: of how many cases the site keeps pictures. An empty region counts as the BraTS challenge
        counts it (see `src.evaluation.metrics`).
    """

    shown: int = 3

    def __post_init__(self) -> None:
        require.whole("shown", self.shown)

    def score(self, case: PreparedCase, prediction: np.ndarray, *, distances: bool) -> Score:
        """The scores of one case for its predicted regions bool (3, X, Y, Z).

        distances: whether HD95 is computed, too.
        """
        if case.regions is None:
            raise CaseError(f"Case {case.case_id} has no label to validate against.")
        reference = case.regions.astype(bool)
        if distances:
            scores = case_scores(prediction, reference, case.spacing_mm)
        else:
            values = {r: dice(prediction[i], reference[i]) for i, r in enumerate(REGIONS)}
            scores = {"dice": values | {"mean": float(np.mean(list(values.values())))}}
        return {"case_id": case.case_id, "patient_id": case.patient_id} | scores

    def summary(self, scores: Sequence[Score]) -> dict[str, Any]:
        """Means over the cases, as they go to the aggregator: numbers only."""
        if "hd95_mm" in scores[0]:
            summary = site_scores(scores)
            return {
                "cases": summary["cases"],
                "dice": summary["dice"],
                "hd95_mm": summary["hd95_mm"],
                "empty": summary["empty_reference"],
            }
        names = scores[0]["dice"]
        return {"dice": {n: float(np.mean([s["dice"][n] for s in scores])) for n in names}}

    def table(self, scores: Sequence[Score]) -> str:
        """The cases one by one as JSON, for the site alone."""
        return json.dumps(list(scores), indent=1)

    def pictures(self, scored: Sequence[Scored]) -> bytes:
        """An .npz with one axial slice each of the worst, the median and the best case."""
        order = sorted(scored, key=lambda item: item[0]["dice"]["mean"])
        picks = np.unique(np.linspace(0, len(order) - 1, min(self.shown, len(order))).astype(int))
        arrays: dict[str, np.ndarray] = {}
        for k, pick in enumerate(picks):
            score, case, prediction = order[pick]
            plane = _fullest_plane(case)
            arrays |= {
                f"images_{k}": np.asarray(case.images[..., plane], np.float32),
                f"reference_{k}": np.asarray(case.regions[..., plane], np.uint8),
                f"prediction_{k}": prediction[..., plane].astype(np.uint8),
                f"case_id_{k}": np.array(score["case_id"]),
                f"dice_{k}": np.array([score["dice"][region] for region in REGIONS]),
                f"spacing_{k}": np.array(case.spacing_mm[:2]),
            }
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()


def _fullest_plane(case: PreparedCase) -> int:
    """The axial plane with most of the tumour's core, else of the tumour, else the middle one."""
    regions = np.zeros((3, *case.images.shape[1:])) if case.regions is None else case.regions
    whole, core, _ = (region.sum((0, 1)) for region in regions)
    for areas in (core, whole):
        if areas.any():
            return int(areas.argmax())
    return whole.size // 2
