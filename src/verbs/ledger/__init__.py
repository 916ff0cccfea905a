"""`ledger`: what has been spent of patients' privacy at this site."""

from src.verbs.lazy import LazyGroup

VERBS = {
    "begin": "Begin the ledgers of this machine, once, and say why there are none yet.",
    "show": "What each run has booked, the epsilon spent, and what is left.",
    "verify": "Find an altered, dropped, reordered or forged line, and a lost ledger.",
}

ledger = LazyGroup(
    "src.verbs.ledger", VERBS, help="What has been spent of patients' privacy at this site."
)
