"""Encrypted rounds between real processes: what is computed, what is readable, what is detected."""

import numpy as np
import pytest

from src.inference.checkpoint import read_model
from tests.federation.parts import SIZE
from tests.federation.test_federation import mean_of_noise, rounds

pytestmark = [pytest.mark.federation, pytest.mark.timeout(240)]


def test_the_final_model_is_the_weighted_mean_and_opens_at_every_site(sealed):
    sealed.run()
    final = sealed.aggregator / "save" / "final.pbuf"
    models = [read_model(final, workspace) for workspace in sealed.sites.values()]
    assert models[0].shape == (SIZE,)
    assert np.abs(models[0] - mean_of_noise(3)).max() < 3 * 3 * 2**-21 * 300 / 11  # 3 rounds
    assert all((model == models[0]).all() for model in models)
    assert [line["round"] for line in rounds(sealed)] == [0, 1, 2, 3]
