"""The workload of every framework: a U-Net's state, noise instead of training, an exact mean.

This file needs numpy and nothing else, since it is copied into the environments of other
frameworks. What a run must know comes from the environment variable BENCH_EVENTS, which names a
file for time stamps.
"""

import json
import os
import time
from math import prod

import numpy as np

WEIGHTS = (5, 2, 4)  # training cases of the sites
SITES = len(WEIGHTS)
NOISE = 0.01
State = dict[str, np.ndarray]
Shape = tuple[int, ...]


def shapes() -> list[Shape]:
    """The shapes of the state: 75 tensors with 1,191,516 values.

    They are those of a residual 3D U-Net of widths 16, 32, 64, 128 (MONAI's), written down so that
    MONAI is not needed.
    """

    def convolution(first: int, second: int, bias: int, kernel: int = 3) -> list[Shape]:
        return [(first, second, kernel, kernel, kernel), (bias,)]

    def norm(channels: int) -> list[Shape]:
        return [(channels,), (channels,), (1,)]

    found: list[Shape] = []
    for into, out, kernel in ((4, 16, 3), (16, 32, 3), (32, 64, 3), (64, 128, 1)):
        found += convolution(out, into, out) + norm(out) + convolution(out, out, out) + norm(out)
        found += convolution(out, into, out, kernel)
    for into, out in ((192, 32), (64, 16), (32, 3)):
        found += convolution(into, out, out) + norm(out) + convolution(out, out, out)
        found += norm(out) if out != 3 else []
    return found


def unpack(vector: np.ndarray) -> State:
    """The vector (1191516,) as named tensors."""
    state, start = {}, 0
    for number, shape in enumerate(shapes()):
        state[f"t{number:02d}"] = vector[start : start + prod(shape)].reshape(shape)
        start += prod(shape)
    return state


def pack(state: State) -> np.ndarray:
    """The named tensors as one vector, float32."""
    return np.concatenate([np.asarray(t, np.float32).ravel() for _, t in sorted(state.items())])


def initial() -> np.ndarray:
    """The model that every run starts from."""
    size = sum(map(prod, shapes()))
    return np.float32(0.1) * np.random.default_rng(0).standard_normal(size, dtype=np.float32)


def trained(model: np.ndarray, site: int, round_number: int) -> np.ndarray:
    """The model after the work of site `site` in a round, which adds known noise and notes the
    time.
    """
    event("train", site, round_number)
    rng = np.random.default_rng([site + 1, round_number])
    return model + np.float32(NOISE) * rng.standard_normal(model.size, dtype=np.float32)


def event(what: str, site: int, round_number: int) -> None:
    """Append a time stamp to the file that BENCH_EVENTS names, if it names one."""
    path = os.environ.get("BENCH_EVENTS")
    if path:
        line = {"t": time.time(), "event": what, "site": site, "round": round_number}
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(json.dumps(line) + "\n")


def expected(rounds: int) -> np.ndarray:
    """The exact model after so many rounds, float64, computed without any framework."""
    model = initial().astype(np.float64)
    for round_number in range(rounds):
        for site, weight in enumerate(WEIGHTS):
            rng = np.random.default_rng([site + 1, round_number])
            noise = np.float32(NOISE) * rng.standard_normal(model.size, dtype=np.float32)
            model += weight / sum(WEIGHTS) * noise
    return model


def largest_error(model: np.ndarray, rounds: int) -> float:
    """The largest difference from the exact model."""
    return float(np.abs(model.astype(np.float64) - expected(rounds)).max())
