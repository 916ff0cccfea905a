"""Pretraining: it learns from public patients alone, and `fx` can start from it."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from scripts.pretrain import pretrain
from scripts.simulate import simulate
from src.errors import InputError

SMALL = ["--set", "data_loader.patches.size=[16,16,16]", "--plan", "plan/dp.yaml"]


def test_weights_are_written_and_are_not_the_seeds_own(tmp_path, phantom_sites):
    out = tmp_path / "init.pt"
    words = [*SMALL, "--data", str(phantom_sites["one"]), "--steps", "10", "--out", str(out)]
    shown = CliRunner().invoke(pretrain, words, catch_exceptions=False)
    assert "10 steps" in shown.output
    assert "--init" in shown.output
    state = torch.load(out, weights_only=True)["model_state_dict"]
    from src.model.unet import GliomaUNet

    torch.manual_seed(7)
    untrained = GliomaUNet().state_dict()
    assert set(state) == set(untrained)
    assert np.abs(state["head.bias"] - untrained["head.bias"]).max() > 0


def test_a_private_plan_from_random_weights_is_refused_with_the_commands(tmp_path):
    with pytest.raises(InputError, match=r"(?s)would learn nothing.*pretrain --plan .*--init"):
        CliRunner().invoke(
            simulate,
            ["--plan", "plan/dp.yaml", "--out", str(tmp_path / "run")],
            catch_exceptions=False,
        )
    assert not (tmp_path / "run").exists()
