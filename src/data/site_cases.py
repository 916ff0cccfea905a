"""One site's cases, split by patient, ready to train on.

Nothing of a case leaves this object, except to tasks in the same process.
"""

import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from src import require
from src.data.case import SEQUENCES, CaseFiles
from src.data.layouts import find_cases, read_dataset_yaml
from src.data.preprocess import PreparedCase, prepared
from src.data.shared_patients import known_as
from src.data.split import SPLITS
from src.data.voxel_identity import known_by
from src.plan.plan import build

logger = logging.getLogger(__name__)


class SiteCases:
    """A data set folder as training patches and validation cases.

    data_path: the folder, from `plan/data.yaml`; None only while the plan is initialised, where
        there are no data.
    kind: the data set's layout and labels; None takes it from the folder's `dataset.yaml`.
    validation_fraction: share of the patients who are kept for validation.
    split_seed: another seed, another split.
    split: "balanced" (at least one patient on each side) or "independent" (for private plans: where
        one patient falls does not depend on the others).
    patches: a part that cuts training patches.
    cache: folder for the preprocessed cases.
    """

    def __init__(
        self,
        data_path: str | None,
        *,
        patches: Mapping[str, Any],
        kind: str | None = None,
        validation_fraction: float = 0.25,
        split_seed: int = 0,
        split: str = "balanced",
        cache: str = "cache",
    ) -> None:
        require.in_range("validation_fraction", validation_fraction, 0.01, 0.9)
        require.one_of("split", split, SPLITS)
        self.patches = build(patches)
        self.cache = Path(cache)
        self.train_files: list[CaseFiles] = []
        self.validation_files: list[CaseFiles] = []
        if data_path is None:
            return
        folder = Path(data_path)
        kind = kind or read_dataset_yaml(folder).kind
        files = find_cases(folder, kind)
        self.train_files, self.validation_files = SPLITS[split](
            files, validation_fraction, split_seed
        )
        logger.info(
            "%d training and %d validation cases of %d patients.",
            len(self.train_files),
            len(self.validation_files),
            len({case.patient_id for case in files}),
        )

    @cached_property
    def train_cases(self) -> list[PreparedCase]:
        """The training cases; their arrays stay on disk until they are used."""
        return [prepared(files, self.cache) for files in self.train_files]

    def training_batches(
        self, steps: int, batch_size: int, rng: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """`steps` batches of images (B, 4, X, Y, Z) and regions (B, 3, X, Y, Z), float32.

        Every case comes up once before any comes up again.
        """
        order: list[int] = []
        for _ in range(steps):
            while len(order) < batch_size:
                order.extend(rng.permutation(len(self.train_cases)).tolist())
            batch, order = order[:batch_size], order[batch_size:]
            yield self.patches.batch([self.train_cases[i] for i in batch], rng)

    @cached_property
    def patients(self) -> list[list[PreparedCase]]:
        """The training cases by patient: all scans and time points of one person."""
        by_patient: dict[str, list[PreparedCase]] = {}
        for files, case in zip(self.train_files, self.train_cases, strict=True):
            by_patient.setdefault(files.patient_id, []).append(case)
        return list(by_patient.values())

    def patient_crops(
        self, patient: list[PreparedCase], crops: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """`crops` patches of one patient, each from any of the scans; shaped as a batch."""
        scans = [patient[i] for i in rng.integers(len(patient), size=crops)]
        return self.patches.batch(scans, rng)

    def identifiers(self, part: str) -> list[str]:
        """The strings by which the patients of a part, "training" or "validation", are recognised.

        Each patient has an id (several, where collections share people), and marks of each image's
        voxels, so that a patient who is renamed or stored otherwise is still the same. They are
        secret: they may be stored only under a keyed hash.
        """
        files = {"training": self.train_files, "validation": self.validation_files}[part]
        known = {f"id {name}" for case in files for name in known_as(case.patient_id)}
        for case in files:
            known.update(known_by(case, self.cache))
        return sorted(known)

    def validation_cases(self) -> Iterator[PreparedCase]:
        """The validation cases, whole."""
        return (prepared(files, self.cache) for files in self.validation_files)

    def get_feature_shape(self) -> tuple[int, ...]:
        """The shape of one patch: (4, *patch size)."""
        return (len(SEQUENCES), *self.patches.size)

    def get_train_data_size(self) -> int:
        """The number of training cases: the site's weight in the mean."""
        return len(self.train_files)

    def get_valid_data_size(self) -> int:
        """The number of validation cases."""
        return len(self.validation_files)
