"""Layers whose gradient is wrong under autocast only, as torch 2.13's convolution was."""

import torch
from torch import nn


class Garbage(torch.autograd.Function):
    """The identity, whose gradient is `factor` times the true one."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.factor, None


class Faulty(nn.Conv3d):
    """A convolution with a wrong weight gradient under autocast only, in each `period`-th call."""

    def __init__(self, factor: float, period: int = 1) -> None:
        super().__init__(4, 4, 3, padding=1)
        self.factor, self.period, self.calls = factor, period, 0

    def forward(self, x):
        if not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        self.calls += 1
        wrong = self.calls % self.period == 0
        weight = Garbage.apply(self.weight, self.factor if wrong else 1.0)
        return self._conv_forward(x, weight, self.bias)
