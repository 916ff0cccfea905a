"""Phantoms: synthetic glioma cases with head, tumour, four sequences, label and clinical row.

A phantom is neither anatomy nor a patient. It is a segmentation task of known truth that looks and
behaves enough like BraTS for the software to be tried on it. Tissue maps are mixed by contrast, as
in BrainWeb (Collins et al. 1998, doi:10.1109/42.712135). Array axes: X right to left, Y front to
back, Z bottom to top.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from src.data.phantom_head import Head, soft
from src.data.phantom_site import PhantomSite, acquire
from src.data.smooth_noise import Grid, smooth_noise

#                  CSF   GM    WM    necrosis oedema enhancing
CONTRAST = {
    "t1": (0.20, 0.54, 0.84, 0.36, 0.56, 0.58),
    "t1ce": (0.20, 0.60, 0.84, 0.38, 0.60, 1.16),
    "t2": (1.05, 0.64, 0.42, 0.86, 0.82, 0.66),
    "flair": (0.12, 0.70, 0.54, 0.54, 0.94, 0.78),
}
NECROSIS, OEDEMA, ENHANCING = 1, 2, 4  # labels, as BraTS had them until 2021
VESSEL = 1.1  # signal of enhancing vessels and choroid plexus on T1ce
HYPERINTENSITY = {"t2": 0.22, "flair": 0.40}  # added by age-related white matter lesions
INT16_SCALE = 600
RIM_VOXELS = 1.6  # least thickness of the enhancing rim
LARGEST_BOX_MM = 176.0  # the head needs no more of a grid; the rest is background


@dataclass(frozen=True)
class Phantom:
    """One synthetic case.

    images: int16 (4, X, Y, Z).
    label: uint8 (X, Y, Z).
    clinical: see `Person`.
    """

    images: np.ndarray
    label: np.ndarray
    clinical: Mapping[str, object]


@dataclass(frozen=True)
class Person:
    """The invented person whom the phantom shows.

    survival_days: None for low grade, as in BraTS.
    """

    grade: str
    age: float
    sex: str
    kps: int
    survival_days: int | None
    extent_of_resection: str
    core_mm: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, site: PhantomSite) -> "Person":
        """Draw a person of this site.

        Higher age goes with higher grade, lower KPS and shorter survival.
        """
        high = bool(rng.random() < site.high_grade)
        age = float(np.clip(rng.normal(61 if high else 43, 11), 19, 88))
        kps = int(np.clip(10 * round(rng.normal(80 if high else 90, 10) / 10), 40, 100))
        core = site.core_mm * np.exp(site.core_spread * rng.normal())
        days = rng.lognormal(np.log(430 - 3.2 * (age - 60) + 2 * (kps - 80)), 0.5)
        return cls(
            grade="HGG" if high else "LGG",
            age=round(age, 1),
            sex="M" if rng.random() < 0.58 else "F",
            kps=kps,
            survival_days=int(np.clip(days, 5, 1900)) if high else None,
            extent_of_resection="GTR" if rng.random() < 0.55 else "STR",
            core_mm=float(np.clip(core, 7, 28)),
        )


def make_phantom(
    seed: int | list[int],
    *,
    site: PhantomSite,
    shape: tuple[int, int, int] = (64, 64, 64),
    spacing_mm: float = 2.75,
) -> Phantom:
    """One phantom of the site, the same for the same seed.

    spacing_mm: voxel edge.
    """
    rng = np.random.default_rng(seed)
    person = Person.drawn(rng, site)
    box, place = _box(shape, spacing_mm)
    head = Head.drawn(rng, box, age=person.age, core_mm=person.core_mm)
    tumour = Tumour.drawn(rng, box, person, head)
    signal = _signal(rng, box, person, site, head, tumour)
    images = acquire(signal, box, site, rng) * head.brain
    whole = np.zeros((4, *shape), np.int16)
    whole[(slice(None), *place)] = np.clip(images * INT16_SCALE, 0, 32767)
    label = np.zeros(shape, np.uint8)
    label[place] = tumour.label
    return Phantom(whole, label, vars(person) | {"core_mm": round(person.core_mm, 1)})


def _box(shape: tuple[int, int, int], spacing_mm: float) -> tuple[Grid, tuple[slice, ...]]:
    """The part in the middle of the grid that the head can fill."""
    most = int(np.ceil(LARGEST_BOX_MM / spacing_mm))
    sides = [min(length, most) for length in shape]
    starts = [(length - side) // 2 for length, side in zip(shape, sides, strict=True)]
    place = tuple(slice(s, s + side) for s, side in zip(starts, sides, strict=True))
    return Grid((sides[0], sides[1], sides[2]), spacing_mm), place


@dataclass(frozen=True)
class Tumour:
    """The tumour as drawn into a head.

    label: uint8 (X, Y, Z).
    necrosis, oedema, enhancing: shares in [0, 1] with soft edges.
    """

    label: np.ndarray
    necrosis: np.ndarray
    oedema: np.ndarray
    enhancing: np.ndarray

    @classmethod
    def drawn(cls, rng: np.random.Generator, grid: Grid, person: Person, head: Head) -> "Tumour":
        """A lobed core (necrosis within an enhancing rim) in oedema that follows white matter.

        A low-grade core hardly enhances, and in half of the cases not at all.
        """

        def noise(wavelength_mm: float) -> np.ndarray:
            return smooth_noise(rng, grid, wavelength_mm)

        core_mm, high = person.core_mm, person.grade == "HGG"
        radius = head.distance / np.float32(core_mm)
        lobes = 0.26 * noise(max(14.0, 1.2 * core_mm)) + 0.10 * noise(max(9.0, 0.6 * core_mm))
        core = 1 - radius - lobes * np.minimum(radius, 1.3)  # > 0 within, in core radii
        rim = RIM_VOXELS * grid.spacing_mm / core_mm
        if high:
            inner = min(rng.uniform(0.45, 0.75), 1 - rim)
            necrosis = core - (1 - inner) + 0.12 * noise(max(9.0, 0.6 * core_mm))
            necrosis = np.minimum(necrosis, core - rim)
        elif rng.random() < 0.55:  # patches of enhancement
            necrosis = rng.uniform(0.9, 1.8) - noise(14.0)
        else:
            necrosis = np.full(grid.shape, 9.0, np.float32)
        spread = rng.uniform(1.35, 2.0) if high else rng.uniform(1.15, 1.5)
        oedema = 1 - radius / spread - 0.24 * noise(max(16.0, core_mm)) + 0.3 * (head.white - 0.5)
        oedema = np.where(head.csf < 0.5, oedema, -9)
        inside = head.brain & (head.csf < 0.75)

        label = np.zeros(grid.shape, np.uint8)
        label[inside & (oedema > 0)] = OEDEMA
        label[inside & (core > 0)] = ENHANCING
        label[inside & (core > 0) & (necrosis > 0)] = NECROSIS
        edge = np.float32(0.35 * grid.spacing_mm / core_mm)
        in_core = expit(core / edge) * inside
        in_necrosis = in_core * expit(necrosis / edge)
        in_oedema = np.maximum(expit(oedema / edge) * inside - in_core, 0)
        return cls(label, in_necrosis, in_oedema, in_core - in_necrosis)


def _signal(
    rng: np.random.Generator,
    grid: Grid,
    person: Person,
    site: PhantomSite,
    head: Head,
    tumour: Tumour,
) -> np.ndarray:
    """float32 (4, X, Y, Z): what a perfect scanner would see, with what misleads a threshold."""

    def noise(wavelength_mm: float) -> np.ndarray:
        return smooth_noise(rng, grid, wavelength_mm)

    atrophy = max(0.0, (person.age - 45) / 40)
    lesions = soft(noise(10.0) - (1.6 - 0.9 * atrophy), 0.15) * head.white
    lesions *= soft(2.2 - head.ventricle_radius, 0.25)
    vessels = (np.abs(noise(16.0)) < 0.05) & (np.abs(noise(16.0)) < 0.4) & (head.fissure_mm < 7)
    choroid = (head.ventricle_radius < 1) & (noise(7.0) > 1.6)
    bright = (vessels | choroid) & head.brain
    texture = [1 + 0.05 * noise(6.0), 1 + 0.10 * noise(6.0), 1 + 0.06 * noise(6.0)]
    sick = np.clip(tumour.necrosis + tumour.oedema + tumour.enhancing, 0, 1)
    high = person.grade == "HGG"
    volumes = []
    for sequence, means in CONTRAST.items():
        csf, grey, white, necrosis, oedema, enhancing = np.array(means) * (
            1 + 0.04 * rng.standard_normal(6)
        )
        if sequence == "t1ce":
            enhancing = oedema + (enhancing - oedema) * site.contrast_dose * rng.uniform(0.7, 1.2)
        if sequence == "flair":
            necrosis *= rng.uniform(0.6, 1.4) if high else rng.uniform(1.1, 1.5)
            oedema *= rng.uniform(0.84, 1.05)
        healthy = head.csf * csf + head.grey * grey + head.white * white
        healthy = healthy + HYPERINTENSITY.get(sequence, 0.0) * lesions
        if sequence == "t1ce":
            healthy = np.where(bright, VESSEL, healthy)
        ill = tumour.necrosis * necrosis * texture[1] + tumour.oedema * oedema * texture[2]
        ill = ill + tumour.enhancing * enhancing * texture[1]
        volumes.append(healthy * texture[0] * (1 - sick) + ill)
    return np.stack(volumes).astype(np.float32)


def brats_affine(shape: tuple[int, ...], spacing_mm: float) -> np.ndarray:
    """BraTS's affine: X to the left, Y to the back, Z up, the origin at Y's far end."""
    affine = np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0])
    affine[1, 3] = (shape[1] - 1) * spacing_mm
    return affine
