"""The device and the precision in which the network runs, chosen from what the machine has."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import nn

from src import require
from src.errors import SettingError
from src.training.gradient_check import wrong_gradient

logger = logging.getLogger(__name__)


class Compute:
    """device: auto (a GPU if there is one), cpu, cuda, cuda:1 …

    precision: auto, fp32 or bf16. bf16 autocast trains 1.4 to 2.6 times as fast where processor or
    GPU multiply it natively; elsewhere it is slower, so auto then takes fp32. Weights stay float32.
    Call `prove` before training: bf16 gradients are not right everywhere.
    """

    def __init__(self, device: str = "auto", precision: str = "auto") -> None:
        require.one_of("precision", precision, ("auto", "fp32", "bf16"))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self._demanded = precision != "auto"
        if precision == "auto":
            precision = "bf16" if has_bf16(self.device) else "fp32"
        self.precision = precision

    def prove(self, network: nn.Module, shape: Sequence[int]) -> None:
        """Train in fp32 if bf16 gradients of this network are wrong here. No work under fp32.

        shape: of one sample, (C, X, Y, Z). SettingError: they are wrong, and bf16 was demanded.
        """
        if self.precision != "bf16":
            return
        wrong = wrong_gradient(network, shape, self.device)
        if wrong is None:
            return
        if self._demanded:
            raise SettingError(
                f"The plan demands bf16, but on this machine {wrong}. "
                "Set task_runner.precision to auto or fp32."
            )
        logger.warning("On this machine %s: training in float32 instead.", wrong)
        self.precision = "fp32"

    def autocast(self) -> AbstractContextManager:
        """The context in which a forward pass runs."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        """The array on the device."""
        return torch.from_numpy(array).to(self.device, non_blocking=True)


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
