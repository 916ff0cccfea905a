"""`benchmark`: measure this kit, and others beside it, in one run on one machine."""

from scripts.lazy import LazyGroup

BENCHMARKS = {
    "encryption": "Bytes, seconds, memory and error of encrypted updates, beside NVIDIA FLARE's.",
    "overhead": "Seconds, CPU, bytes and memory of a round without training.",
    "privacy": "Dice and membership inference against epsilon.",
    "private_step": "Seconds and memory of a private step, beside Opacus' hooks.",
}

benchmark = LazyGroup("scripts.benchmark", BENCHMARKS, help=__doc__)
