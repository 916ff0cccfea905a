"""What a spent budget of privacy changes in a site's answers: it announces nothing any more."""

from collections.abc import Iterable
from typing import Protocol

from src.secure_aggregation.heads import LedgerHead
from src.secure_aggregation.protocol import ANNOUNCEMENT, UPDATE


class Budget(Protocol):
    """What is needed of a budget of privacy; `src.differential_privacy.budget` has one."""

    when_spent: str

    def pays(self) -> bool: ...
    def head(self) -> LedgerHead: ...
    def after(self, round_number: int) -> str: ...


def all_pay(budgets: Iterable[Budget]) -> bool:
    """Whether every budget allows one more round."""
    return all(budget.pays() for budget in budgets)


def ledger_head(budgets: Iterable[Budget]) -> LedgerHead | None:
    """The head of this site's ledger, for its announcement; None in a plan that is not private.

    All budgets of a site are booked in one folder, which has one journal.
    """
    return next((budget.head() for budget in budgets), None)


def why_left(budgets: Iterable[Budget], kind: str, round_number: int) -> str:
    """LEAVE, or STOP the run, where a budget ends this site's part; "" where none does.

    kind: of the message that is being answered with.
    """
    for budget in budgets:
        left = budget.after(round_number) if kind == UPDATE else ""
        if left or (kind == ANNOUNCEMENT and not budget.pays()):
            return left or budget.when_spent
    return ""
