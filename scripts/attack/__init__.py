"""`attack`: attack this kit, and keep what the attacks found beside the report."""

from src.verbs.lazy import LazyGroup

ATTACKS = {
    "bundles": "Hostile bundles: what do `show`, `doctor`, `start` run of them?",
    "canaries": "Audit the private training step by canaries, and seeded faults of it.",
    "identity": "Attacks on who may speak and what runs, on stock OpenFL and on this kit.",
    "inversion": "Patients' images out of one update: plain, encrypted, private.",
    "ledger": "Spent privacy made unspent: another folder, an older copy, patients renamed.",
    "line": "Attacks on whom the aggregator waits for, on stock OpenFL and on this kit.",
    "masks": "A site's masks used twice, and sums forged from that.",
    "membership": "Who was trained on? By the loss of a run's final model.",
}

attack = LazyGroup("scripts.attack", ATTACKS, help=__doc__)
