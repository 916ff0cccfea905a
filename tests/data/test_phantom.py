"""Synthetic patients: repeatable, plausible, and not too easy."""

import numpy as np
import pytest

from src.data.phantom import ENHANCING, NECROSIS, OEDEMA, Person, Phantom, make_phantom
from src.data.phantom_site import SITES, PhantomSite, site_for

SMALL = {"shape": (40, 40, 40), "spacing_mm": 4.4}


def phantoms(count: int, site: PhantomSite = SITES[0]) -> list[Phantom]:
    return [make_phantom(seed, site=site, **SMALL) for seed in range(count)]


@pytest.fixture(scope="module")
def patients() -> list[Phantom]:
    return phantoms(24)


def litres(mask: np.ndarray) -> float:
    return mask.sum() * 4.4**3 / 1e6


def test_the_same_seed_is_the_same_patient_and_another_is_not():
    first, again, other = (make_phantom(seed, site=SITES[0], **SMALL) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.label, again.label)
    assert first.clinical == again.clinical
    assert (first.images != other.images).any()


def test_brains_have_the_size_of_brains(patients):
    volumes = [litres(p.images.any(axis=0)) for p in patients]
    assert all(1.0 < volume < 2.0 for volume in volumes)


def test_background_is_exactly_zero_and_labels_lie_in_the_brain(patients):
    for patient in patients:
        assert (patient.images[:, 0] == 0).all()
        assert patient.images.dtype == np.int16
        brain = patient.images.any(axis=0)
        assert ((patient.label > 0) & ~brain).sum() <= 0.01 * (patient.label > 0).sum()


def test_every_patient_has_a_tumour_with_labels_that_are_known(patients):
    for patient in patients:
        assert set(np.unique(patient.label)) <= {0, NECROSIS, OEDEMA, ENHANCING}
        assert (patient.label == OEDEMA).any()
        assert np.isin(patient.label, (NECROSIS, ENHANCING)).any()


def test_high_grade_tumours_enhance_and_some_low_grade_ones_do_not():
    low_site = PhantomSite("low", high_grade=0.0)
    assert all((p.label == ENHANCING).any() for p in phantoms(12) if p.clinical["grade"] == "HGG")
    without = [not (p.label == ENHANCING).any() for p in phantoms(16, low_site)]
    assert 0.1 < np.mean(without) < 0.9


def test_enhancing_tumour_is_bright_after_contrast_and_oedema_on_flair(patients):
    for patient in patients:
        t1ce, flair = patient.images[1].astype(float), patient.images[3].astype(float)
        healthy = (patient.label == 0) & patient.images.any(axis=0)
        assert flair[patient.label == OEDEMA].mean() > 1.15 * flair[healthy].mean()
        if patient.clinical["grade"] == "HGG" and (patient.label == ENHANCING).sum() > 30:
            assert t1ce[patient.label == ENHANCING].mean() > 1.1 * t1ce[healthy].mean()


def test_a_threshold_does_not_solve_the_task(patients):
    """The best FLAIR threshold over all patients; vessels, lesions and shifts stand in its way."""
    scores = []
    for z in np.linspace(0.5, 3.0, 11):
        overlap = volume = 0
        for patient in patients:
            flair = patient.images[3].astype(float)
            brain = flair > 0
            found = brain & (flair > flair[brain].mean() + z * flair[brain].std())
            overlap += 2 * (found & (patient.label > 0)).sum()
            volume += found.sum() + (patient.label > 0).sum()
        scores.append(overlap / volume)
    assert max(scores) < 0.8


def test_a_large_grid_is_filled_in_its_middle_only():
    phantom = make_phantom(0, site=SITES[0], shape=(60, 60, 40), spacing_mm=4.4)
    filled = phantom.images.any(axis=0)
    assert filled[10:50, 10:50].sum() == filled.sum()


def test_older_patients_are_more_often_high_grade_and_the_mix_is_the_sites():
    rng = np.random.default_rng(0)
    people = [Person.drawn(rng, SITES[0]) for _ in range(400)]
    high = [p for p in people if p.grade == "HGG"]
    low = [p for p in people if p.grade == "LGG"]
    assert len(high) / len(people) == pytest.approx(SITES[0].high_grade, abs=0.05)
    assert np.mean([p.age for p in high]) > np.mean([p.age for p in low]) + 10
    assert all(p.survival_days is None for p in low)
    assert all(p.survival_days for p in high)


def noise_of(site: PhantomSite) -> float:
    """High-frequency share of T1 in the brain's middle."""
    image = make_phantom(1, site=site, **SMALL).images[0].astype(float)
    piece = image[16:24, 16:24, 16:24]
    return float(np.abs(np.diff(piece, axis=0)).mean() / piece.mean())


def test_sites_differ_in_noise_and_gain():
    quiet, loud = PhantomSite("q", noise=0.01), PhantomSite("l", noise=0.3)
    assert noise_of(loud) > 2 * noise_of(quiet)
    bright = PhantomSite("b", gain=(2.0, 1.0, 1.0, 1.0))
    plain = PhantomSite("b")
    ratio = (
        make_phantom(1, site=bright, **SMALL).images[0].mean()
        / make_phantom(1, site=plain, **SMALL).images[0].mean()
    )
    assert ratio == pytest.approx(2.0, rel=0.05)


def test_thick_slices_blur_along_z_only():
    thin = make_phantom(2, site=PhantomSite("t", noise=0.0), **SMALL).images[2].astype(float)
    thick_site = PhantomSite("t", noise=0.0, slice_mm=13.0)
    thick = make_phantom(2, site=thick_site, **SMALL).images[2].astype(float)

    def roughness(image: np.ndarray, axis: int) -> float:
        return float(np.abs(np.diff(image[12:28, 12:28, 12:28], axis=axis)).mean())

    assert roughness(thick, 2) < 0.7 * roughness(thin, 2)
    assert roughness(thick, 0) > 0.6 * roughness(thin, 0)


def test_any_number_of_sites_can_be_had_and_each_is_its_own():
    sites = [site_for(index) for index in range(12)]
    assert len({site.name for site in sites}) == 12
    assert site_for(9) == site_for(9)
