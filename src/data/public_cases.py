"""Synthetic cases that every site makes alike: validation that reveals nothing of any patient.

They follow from the plan's numbers alone. Dice on them shows that training makes progress; it is no
clinical evidence.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from src import require
from src.data.case import Case
from src.data.phantom import ENHANCING, NECROSIS, OEDEMA, brats_affine, make_phantom
from src.data.phantom_site import SITES, PhantomSite
from src.data.preprocess import PreparedCase, preprocess
from src.data.regions import REGIONS

STREAM = 0x70756263  # keeps these patients apart from those of `prepare` with the same seed
INSIDE = {"WT": (NECROSIS, OEDEMA, ENHANCING), "TC": (NECROSIS, ENHANCING), "ET": (ENHANCING,)}


@dataclass(frozen=True)
class SyntheticCases:
    """Synthetic validation cases, in the styles of the synthetic hospitals by turns.

    count: how many cases.
    seed: another seed, other cases.
    size: voxels along each axis.
    """

    count: int = 6
    seed: int = 0
    size: int = 64
    spacing_mm: float = 2.75

    def __post_init__(self) -> None:
        require.whole("count", self.count, at_least=1)
        require.whole("seed", self.seed)
        require.whole("size", self.size, at_least=16)
        require.positive("spacing_mm", self.spacing_mm)

    def cases(self) -> Iterator[PreparedCase]:
        """Make the cases anew, in about 0.2 s each at 64 voxels a side."""
        for number in range(self.count):
            yield synthetic_case(
                f"public-{number}",
                [STREAM, self.seed, number],
                site=SITES[number % len(SITES)],
                shape=(self.size, self.size, self.size),
                spacing_mm=self.spacing_mm,
            )


def synthetic_case(
    name: str,
    seed: list[int],
    *,
    site: PhantomSite,
    shape: tuple[int, int, int],
    spacing_mm: float,
) -> PreparedCase:
    """A case of a synthetic hospital, preprocessed, without any file."""
    phantom = make_phantom(seed, site=site, shape=shape, spacing_mm=spacing_mm)
    regions = np.stack([np.isin(phantom.label, INSIDE[region]) for region in REGIONS])
    affine = brats_affine(phantom.label.shape, spacing_mm)
    images = phantom.images.astype(np.float32)
    return preprocess(Case(name, name, images, regions.astype(np.uint8), affine))
