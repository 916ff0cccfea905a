"""Check a network's bfloat16 gradients by comparison with float32's.

Why: oneDNN in torch 2.13.0+cpu leaves part of a 3x3x3 convolution's bfloat16 weight gradient
    uninitialised on processors with AVX512-BF16 when the first spatial axis of its output is 2: now
    and then NaN, otherwise finite and wrong by up to 1e37. A model trained on that is silently bad.

How: each layer is compared by itself, with the input that it gets in the bfloat16 network and a
    random gradient of its output. Both precisions then see the same numbers, and only the layer's
    own rounding is left: at most 0.7 % in both presets of the U-Net at 16^3 to 64 x 48 x 48. So 2 %
    is an honest limit for a layer. It is none for a whole network, where the rounding of all layers
    adds up: 8 to 9 % of the whole gradient, 21 % of single parameters. The whole is therefore held
    against a coarse limit, which still notices what no layer does by itself. All this costs five to
    six training steps, once.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import nn

LAYER_LIMIT = 0.02  # relative L2 error of each gradient of a layer
NETWORK_LIMIT = 0.25  # relative L2 error of all parameters' gradients together
TRIES = 3  # for a small layer: what lies in uninitialised memory is not always wrong
SMALL = 2**14  # elements of a layer's input; the fault is one of small layers
SPOILED = 2**20  # elements of freed memory that is filled with NaN, to be found uninitialised


def wrong_gradient(network: nn.Module, shape: Sequence[int], device: torch.device) -> str | None:
    """What is wrong with the network's bfloat16 gradients, in words; None if they are right.

    shape: of one sample, (C, X, Y, Z). The network itself is left as it is.
    """
    network = copy.deepcopy(network).to(device).eval().requires_grad_(True)
    # A GPU trains with little memory to spare, and float32 takes twice as much; a CPU takes another
    # convolution for one sample than for the two or more of a training step.
    samples = 1 if device.type == "cuda" else 2
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(samples, *shape, generator=rng).to(device)
    at = "x".join(map(str, shape[1:]))
    exact = _gradients(network, images, bf16=False)[1:]
    inputs = _Inputs(network)
    error = _error(exact, _gradients(network, images, bf16=True)[1:])
    inputs.close()
    for name, (layer, values) in inputs.seen.items():
        wrong = _wrong_by(layer, values)
        if wrong is not None:
            return f"the bfloat16 gradient of layer {name} is off by {wrong:.0%} on patches of {at}"
    if not error <= NETWORK_LIMIT:  # NaN is wrong too
        return f"the network's bfloat16 gradient is off by {error:.0%} on patches of {at}"
    return None


class _Inputs:
    """Records what each layer (a module with parameters and no children) is given in a run."""

    def __init__(self, network: nn.Module) -> None:
        self.seen: dict[str, tuple[nn.Module, torch.Tensor]] = {}
        self._hooks = [
            module.register_forward_hook(self._keep(name))
            for name, module in network.named_modules()
            if not list(module.children()) and list(module.parameters())
        ]

    def _keep(self, name: str) -> Callable[[nn.Module, tuple, object], None]:
        def keep(layer: nn.Module, given: tuple, output: object) -> None:
            tensors = [t for t in (*given, output) if isinstance(t, torch.Tensor)]
            if len(given) == 1 and len(tensors) == 2 and given[0].is_floating_point():
                self.seen[name] = (layer, given[0].detach())

        return keep

    def close(self) -> None:
        """Take the hooks away."""
        for hook in self._hooks:
            hook.remove()


def _wrong_by(layer: nn.Module, values: torch.Tensor) -> float | None:
    """The relative error of one of the layer's gradients, if it is beyond the limit."""
    exact = _gradients(layer, values.float(), bf16=False)
    small = values.numel() <= SMALL
    for _ in range(TRIES if small else 1):
        for reference, gradient in zip(exact, _gradients(layer, values, bf16=True), strict=True):
            error = _error([reference], [gradient])
            if not error <= LAYER_LIMIT:
                return error
    return None


def _gradients(module: nn.Module, values: torch.Tensor, *, bf16: bool) -> tuple[torch.Tensor, ...]:
    """Gradients of the input and of each parameter, for a random gradient of the output."""
    values = values.clone().requires_grad_()
    with torch.autocast(values.device.type, torch.bfloat16, enabled=bf16):
        output = module(values.clone())  # a copy: some layers work in place
    rng = torch.Generator().manual_seed(0)
    # rounded, so that it is the same number in both precisions
    above = torch.rand(output.shape, generator=rng).sub_(0.5).bfloat16().to(output)
    spoiled = torch.full((SPOILED,), float("nan"), device=values.device)
    del spoiled
    return torch.autograd.grad(
        output, [values, *module.parameters()], above, materialize_grads=True
    )


def _error(exact: Sequence[torch.Tensor], found: Sequence[torch.Tensor]) -> float:
    """The relative L2 error of the tensors together."""
    pairs = list(zip(exact, found, strict=True))
    wrong = sum(float((a - b).norm()) ** 2 for a, b in pairs)
    whole = sum(float(a.norm()) ** 2 for a, _ in pairs)
    return (wrong / max(whole, 1e-30)) ** 0.5
