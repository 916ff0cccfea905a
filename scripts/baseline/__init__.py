"""`baseline`: what a federation is measured against, on the data of a run of `simulate`.

Same network, initial weights, augmentation, learning rates, rounds and steps, and the same
validation cases; only who trains on what is another. The run's report then shows them side by side.
"""

from src.verbs.lazy import LazyGroup

BASELINES = {
    "alone": "Each site trains by itself, on its own cases.",
    "ensemble": "The mean of the probabilities of the models that the sites trained alone.",
    "pooled": "All training cases in one place: what privacy forbids.",
}

baseline = LazyGroup("scripts.baseline", BASELINES, help=__doc__)
