"""Training patches: where they are cut from a case, and how they are augmented.

A patch is centred on a voxel of the tumour with probability `tumour_fraction`, else anywhere in the
brain. All randomness comes from the generator that is passed in.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from src import require
from src.data.preprocess import PreparedCase
from src.errors import CaseError
from src.plan.parts import Declares

# A brain's mean lies about this many standard deviations above zero in raw MRI. Adding it to
# z-scores gives back a positive scale, on which gain, gamma and a bias field act as on a scanner.
BRAIN_MEAN_Z = 4.0


@dataclass(frozen=True)
class Patches:
    """How patches are cut from a case, and whether they are augmented.

    size: voxels along X, Y, Z.
    tumour_fraction: probability that a patch is centred on the tumour.
    augment: vary the patches; else they are only cut.
    """

    DECLARES: ClassVar = Declares(per_patient=True)  # a patch depends on its own case alone

    size: tuple[int, int, int] = (64, 64, 64)
    tumour_fraction: float = 0.7
    augment: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(self.size))
        for length in self.size:
            require.whole("size", length, at_least=8)
        require.in_range("tumour_fraction", self.tumour_fraction, 0.0, 1.0)

    def draw(self, case: PreparedCase, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One patch: images float32 (4, *size) and regions float32 (3, *size).

        A smaller case is padded with background. CaseError: the case has no label.
        """
        if case.regions is None:
            raise CaseError(f"Case {case.case_id} has no label, so nothing can be learnt from it.")
        window = self._window(case, rng)
        images, regions = cut(case.images, window), cut(case.regions, window)
        if self.augment:
            images, regions = self._vary(images, regions, case.left_right_axis, rng)
        return np.ascontiguousarray(images, np.float32), np.ascontiguousarray(regions, np.float32)

    def batch(
        self, cases: list[PreparedCase], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """One patch of each case: images (B, 4, *size) and regions (B, 3, *size)."""
        images, regions = zip(*(self.draw(case, rng) for case in cases), strict=True)
        return np.stack(images), np.stack(regions)

    def _window(self, case: PreparedCase, rng: np.random.Generator) -> tuple[slice, ...]:
        """The patch's place in the case's box; it may reach beyond a smaller case."""
        shape = case.images.shape[1:]
        if rng.random() < self.tumour_fraction and len(case.tumour_voxels):
            centre = case.tumour_voxels[rng.integers(len(case.tumour_voxels))]
            jitter = np.array(self.size) // 4
            start = centre - np.array(self.size) // 2 + rng.integers(-jitter, jitter + 1)
        else:
            start = rng.integers(0, np.maximum(np.array(shape) - self.size, 0) + 1)
        spare = np.array(shape) - self.size
        start = np.where(spare > 0, np.clip(start, 0, np.maximum(spare, 0)), spare // 2)
        return tuple(
            slice(int(first), int(first) + length)
            for first, length in zip(start, self.size, strict=True)
        )

    def _vary(self, images, regions, left_right_axis: int, rng: np.random.Generator):
        if rng.random() < 0.5:
            images = np.flip(images, 1 + left_right_axis)
            regions = np.flip(regions, 1 + left_right_axis)
        varied = self._spatial(images, regions, rng)
        brain = varied["images"] != 0
        positive = varied["images"] + BRAIN_MEAN_Z
        positive = self._intensity(positive, rng)
        return np.where(brain, positive - BRAIN_MEAN_Z, 0), varied["regions"]

    def _spatial(self, images, regions, rng: np.random.Generator) -> dict[str, np.ndarray]:
        self._spatial_transform.set_random_state(seed=int(rng.integers(2**31)))
        given = {"images": np.ascontiguousarray(images), "regions": np.ascontiguousarray(regions)}
        varied: Any = self._spatial_transform(given)
        return {key: np.asarray(varied[key]) for key in given}

    def _intensity(self, images, rng: np.random.Generator) -> np.ndarray:
        """Vary each sequence independently, since scanners differ per sequence."""
        varied = []
        for sequence in images:
            self._intensity_transform.set_random_state(seed=int(rng.integers(2**31)))
            varied.append(np.asarray(self._intensity_transform(sequence[None]))[0])
        return np.stack(varied)

    @cached_property
    def _spatial_transform(self):
        from monai.transforms import Compose, RandAffined

        angle = np.deg2rad(10)
        return Compose(
            RandAffined(
                ("images", "regions"),
                prob=0.2,
                rotate_range=(angle,) * 3,
                scale_range=(0.1,) * 3,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            )
        )

    @cached_property
    def _intensity_transform(self):
        from monai import transforms

        return transforms.Compose(
            [
                transforms.RandBiasField(prob=0.15, degree=2, coeff_range=(-0.1, 0.1)),
                transforms.RandScaleIntensity(factors=0.1, prob=0.5),
                transforms.RandShiftIntensity(offsets=0.2, prob=0.5),
                transforms.RandAdjustContrast(prob=0.15, gamma=(0.8, 1.25)),
                transforms.RandGaussianNoise(prob=0.15, std=0.1),
            ]
        )


def cut(array: np.ndarray, window: tuple[slice, ...]) -> np.ndarray:
    """The window of (C, X, Y, Z), zero where it reaches beyond the array."""
    inside = tuple(
        slice(max(part.start, 0), min(part.stop, length))
        for part, length in zip(window, array.shape[1:], strict=True)
    )
    piece = np.asarray(array[(slice(None), *inside)])
    missing = [
        (kept.start - part.start, part.stop - kept.stop)
        for part, kept in zip(window, inside, strict=True)
    ]
    return np.pad(piece, [(0, 0), *missing]) if any(map(any, missing)) else piece
