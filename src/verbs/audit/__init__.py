"""`audit`: check the audit logs."""

from src.verbs.lazy import LazyGroup

VERBS = {"verify": "Find altered, dropped or reordered lines; compare two parties' logs."}

audit = LazyGroup("src.verbs.audit", VERBS, help="Check the audit logs.")
