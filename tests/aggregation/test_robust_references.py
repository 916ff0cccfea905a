"""Robust rules against definitions written anew here, scipy, and other libraries' numbers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from src.aggregation.centred_clipping import CentredClipping
from src.aggregation.geometric_median import GeometricMedian
from src.aggregation.krum import Krum, MultiKrum
from src.aggregation.median import Median
from src.aggregation.nearest_neighbours import NearestNeighbours
from src.aggregation.trimmed_mean import TrimmedMean
from src.aggregation.vectors import CHUNK, squared_distances

seeds = st.integers(0, 2**32 - 1)
TRIMMED = {"template": "src.aggregation.trimmed_mean.TrimmedMean", "settings": {"liars": 2}}
# Nine models of four values, and what other libraries make of them, in float64.
MODELS = np.array(
    [[(7 * i * i + 3 * j * j + 5 * i * j) % 11 - 5 for j in range(4)] for i in range(9)]
) / np.float32(4)
BYZFL = {  # 0.0.11: Median, TrMean(2), CenteredClipping(m=None, tau=1, L=1 and 3)
    "median": (Median(liars=2), [0.5, 0.0, 0.25, -0.5]),
    "trimmed mean": (TrimmedMean(liars=2), [0.3, 0.1, 0.2, -0.4]),
    "centred clipping": (
        CentredClipping(liars=2, radius=1.0, iterations=1),
        [0.19221899308163287, 0.1120504429917944, 0.08878970562910612, -0.21197573290988192],
    ),
    "centred clipping, three times": (
        CentredClipping(liars=2, radius=1.0, iterations=3),
        [0.3170036117917697, 0.16185253660458207, 0.12612804764581914, -0.31710257088463],
    ),
}
MIXED = np.array([[-2, 1, 2, -10], [10, 6, 11, -8], [16, 10, 2, -8], [0, -1, 7, -9]]) / 28
MIXED = MIXED[[0, 1, 2, 2, 3, 2, 2, 3, 2]]  # ByzFL 0.0.11, NNM(2)
GEOM_MEDIAN = [  # 0.1.0, eps 1e-12: equal weights, weights 1 to 9
    (False, [0.42544439514722426, 0.07287920435014342, 0.1794344571221955, -0.3291948463525263]),
    (True, [0.5210598912305473, 0.26446619421385303, 0.07617006046148983, -0.5112053915801991]),
]


@pytest.mark.parametrize("name", BYZFL)
def test_the_result_is_byzfls(name):
    rule, expected = BYZFL[name]
    np.testing.assert_allclose(rule.combine(list(MODELS), [1.0] * 9), expected, atol=1e-6)


def test_mixed_models_are_byzfls():
    rule = NearestNeighbours(liars=2, rule=TRIMMED)
    np.testing.assert_allclose(rule.mixed(list(MODELS)), MIXED, atol=1e-6)


@pytest.mark.parametrize(("by_cases", "expected"), GEOM_MEDIAN)
def test_the_geometric_median_is_that_of_the_library_of_its_authors(by_cases, expected):
    rule = GeometricMedian(liars=2, by_cases=by_cases)
    found = rule.combine(list(MODELS), list(range(1, 10)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(seed=seeds, weighted=st.booleans())
def test_the_geometric_median_is_where_scipy_finds_the_least_sum(seed, weighted):
    rng = np.random.default_rng(seed)
    models = rng.normal(size=(7, 3)).astype(np.float32)
    weights = rng.integers(1, 4, 7) if weighted else np.ones(7)

    def total(point: np.ndarray) -> float:
        return float(weights @ np.linalg.norm(models - point, axis=1))

    least = minimize(total, models.mean(0), method="Nelder-Mead").fun
    found = GeometricMedian(by_cases=weighted).combine(list(models), list(weights))
    assert total(found) <= least * (1 + 1e-5)


def test_the_geometric_median_does_not_stay_beside_a_model_that_it_passes():
    """Seed 384: the way leads past a model, where steps are as short as at the end."""
    models = np.random.default_rng(384).normal(size=(7, 3)).astype(np.float32)
    found = GeometricMedian().combine(list(models), [])
    assert np.linalg.norm(models - found, axis=1).min() > 0.02


def naive_scores(models: np.ndarray, liars: int) -> list[float]:
    """Blanchard et al. 2017, section 3: to the n - f - 2 closest vectors, itself left out."""
    scores = []
    for i, model in enumerate(models):
        others = [float(((model - other) ** 2).sum()) for j, other in enumerate(models) if j != i]
        scores.append(sum(sorted(others)[: len(models) - liars - 2]))
    return scores


@given(seed=seeds, liars=st.integers(0, 2))
def test_krum_is_its_definition(seed, liars):
    models = np.random.default_rng(seed).normal(size=(7, 20))
    scores = naive_scores(models, liars)
    best = np.argsort(scores)
    krum, several = Krum(liars=liars), MultiKrum(liars=liars)
    np.testing.assert_allclose(krum.scores(list(models)), scores)
    np.testing.assert_allclose(krum.combine(list(models), []), models[best[0]], rtol=1e-6)
    expected = models[best[: 7 - liars]].mean(0)
    np.testing.assert_allclose(several.combine(list(models), []), expected, atol=1e-6)


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, 2 * CHUNK + 3])
def test_models_of_several_chunks_are_combined_whole(size):
    models = list(np.random.default_rng(size).normal(size=(5, size)).astype(np.float32))
    whole = np.stack(models).astype(np.float64)
    np.testing.assert_allclose(Median().combine(models, []), np.median(whole, 0), atol=1e-6)
    for i, j in itertools.combinations(range(5), 2):
        expected = ((whole[i] - whole[j]) ** 2).sum()
        assert squared_distances(models)[i, j] == pytest.approx(expected)
