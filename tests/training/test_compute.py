"""Device and precision are chosen from what there is, and can be forced."""

import numpy as np
import pytest
import torch

from src.errors import SettingError
from src.training.compute import Compute, has_bf16


def test_auto_takes_bf16_exactly_where_the_processor_multiplies_it():
    expected = "bf16" if has_bf16(torch.device("cpu")) else "fp32"
    assert Compute("cpu", "auto").precision == expected


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_the_forward_pass_runs_in_the_chosen_precision(precision, dtype):
    with Compute("cpu", precision).autocast():
        assert torch.nn.Linear(4, 4)(torch.zeros(2, 4)).dtype == dtype


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_auto_is_the_cpu():
    assert Compute().device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_with_a_gpu_auto_is_the_gpu():
    assert Compute().tensor(np.zeros(2, np.float32)).device.type == "cuda"


def test_an_unknown_precision_is_refused():
    with pytest.raises(SettingError, match="precision must be one of auto, fp32, bf16; got 'fp8'"):
        Compute("cpu", "fp8")
