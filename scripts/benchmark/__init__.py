"""`benchmark`: measure this kit, and others beside it, in one run on one machine.

Each verb is one question. What it prints stands in scripts/benchmark/README.md, beside the command.
Ratios between contenders are worth more than seconds, since every machine has its own. So all
contenders of a question are measured in one run, and take turns where their work is short.
"""

from src.verbs.lazy import LazyGroup

BENCHMARKS = {
    "drift": "Loss above the optimum on a toy of four unlike sites, by algorithm.",
    "encryption": "Bytes, seconds, memory and error of encrypted updates, beside NVIDIA FLARE's.",
    "overhead": "Seconds, CPU, bytes and memory of a round without training.",
    "privacy": "Dice and membership inference against epsilon.",
    "private-step": "Seconds and memory of a private step, beside Opacus' hooks.",
}

benchmark = LazyGroup("scripts.benchmark", BENCHMARKS, help=__doc__)
