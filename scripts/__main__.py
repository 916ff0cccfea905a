"""`python -m scripts <verb>`: what the desk of a consortium does. Verbs load when called."""

from src import account
from src.printable import print_in_any_locale
from src.refusal import errors_end_the_command
from src.verbs.lazy import LazyGroup

VERBS = {
    "attack": "Attack this kit: audit by canaries, membership, gradient inversion.",
    "certify": "The ceremony: authority, certificates, member list, revocation.",
    "baseline": "What a run is measured against: sites alone, pooled, ensemble.",
    "benchmark": "Measure this kit, and others beside it.",
    "evaluate": "Score a trained model on data, and rebuild a run's report.",
    "prepare": "Make site folders from a data set, or synthetic patients.",
    "pretrain": "Initial weights from public or synthetic patients.",
    "privacy": "What a plan with differential privacy guarantees, and what that costs.",
    "rehearse": "The runbook, typed on separate hosts of this machine (root).",
    "simulate": "Run a whole federation on this machine, from data to report.",
    "workspace": "Build an OpenFL workspace from a plan, for plain `fx`.",
}

main = LazyGroup("scripts", VERBS, help=__doc__)

if __name__ == "__main__":
    account.complete()
    print_in_any_locale()
    with errors_end_the_command():
        main(prog_name="python -m scripts")
