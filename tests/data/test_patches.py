"""Patches: where they are cut, and what varying them must not do."""

import numpy as np
import pytest

from src.data.patches import Patches, cut
from src.data.preprocess import PreparedCase
from src.errors import CaseError


def case(shape=(24, 20, 16), tumour=(slice(4, 8), slice(4, 8), slice(4, 8))) -> PreparedCase:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4, *shape)).astype(np.float32)
    images[:, :2] = 0  # background on one side
    regions = np.zeros((3, *shape), np.uint8)
    regions[(slice(None), *tumour)] = 1
    return PreparedCase("a", "a", images, regions, np.diag([-1.0, -1, 1, 1]), shape, (0, 0, 0))


def draws(patches: Patches, source: PreparedCase, count: int):
    rng = np.random.default_rng(1)
    return [patches.draw(source, rng) for _ in range(count)]


def test_without_variation_a_patch_is_a_piece_of_the_case():
    source = case()
    images, regions = draws(Patches((8, 8, 8), augment=False), source, 1)[0]
    places = np.argwhere(source.images[0] == images[0, 0, 0, 0])
    assert len(places) == 1
    x, y, z = places[0]
    np.testing.assert_array_equal(source.images[:, x : x + 8, y : y + 8, z : z + 8], images)
    np.testing.assert_array_equal(source.regions[:, x : x + 8, y : y + 8, z : z + 8], regions)


def test_tumour_patches_hold_tumour_and_others_are_spread_over_the_brain():
    source = case(shape=(48, 48, 48))
    aware = draws(Patches((8, 8, 8), tumour_fraction=1.0, augment=False), source, 40)
    blind = draws(Patches((8, 8, 8), tumour_fraction=0.0, augment=False), source, 40)
    assert np.mean([regions.any() for _, regions in aware]) > 0.9
    assert np.mean([regions.any() for _, regions in blind]) < 0.3


def test_a_case_smaller_than_the_patch_is_padded_with_background():
    source = case()
    images, regions = draws(Patches((32, 32, 32), augment=False), source, 1)[0]
    assert images.shape == (4, 32, 32, 32)
    assert regions.sum() == source.regions.sum()
    np.testing.assert_array_equal(images[:, 4:28, 6:26, 8:24], source.images)


def test_cut_beyond_every_side_gives_zeros():
    array = np.ones((1, 2, 2, 2))
    piece = cut(array, (slice(-1, 3), slice(-1, 3), slice(0, 2)))
    assert piece.shape == (1, 4, 4, 2)
    assert piece.sum() == 8


def test_varied_patches_keep_background_zero_labels_binary_and_numbers_finite():
    source = case()
    for images, regions in draws(Patches((24, 20, 16)), source, 30):
        assert np.isfinite(images).all()
        assert set(np.unique(regions)) <= {0.0, 1.0}
        assert (images == 0).mean() > 0.01
        assert np.abs(images).max() < 15


def test_variation_changes_intensities_and_repeats_for_the_same_generator():
    source, patches = case(), Patches((16, 16, 16))
    first, again = draws(patches, source, 5), draws(patches, source, 5)
    for (images, _), (images_again, _) in zip(first, again, strict=True):
        np.testing.assert_array_equal(images, images_again)
    assert len({images.mean().item() for images, _ in first}) == 5


def test_images_and_regions_are_flipped_together_along_left_and_right_only():
    shape = (16, 16, 16)
    images = np.zeros((4, *shape), np.float32)
    images[:] = np.arange(1, 17).reshape(16, 1, 1)  # grows from right to left
    regions = np.zeros((3, *shape), np.uint8)
    regions[:, :8] = 1
    source = PreparedCase("a", "a", images, regions, np.diag([-1.0, -1, 1, 1]), shape, (0, 0, 0))
    flipped = 0
    for varied, labels in draws(Patches(shape), source, 30):
        low_side_first = varied[0, 0].mean() < varied[0, -1].mean()
        assert (labels[0, :8].mean() > labels[0, 8:].mean()) == low_side_first
        flipped += not low_side_first
    assert 5 < flipped < 25


def test_a_case_without_label_cannot_be_learnt_from():
    unlabelled = PreparedCase(
        "b", "b", np.ones((4, 8, 8, 8), np.float32), None, np.eye(4), (8, 8, 8), (0, 0, 0)
    )
    with pytest.raises(CaseError, match="Case b has no label"):
        Patches((8, 8, 8)).draw(unlabelled, np.random.default_rng(0))
