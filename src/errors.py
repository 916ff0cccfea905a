"""What goes wrong in a way that this kit foresees. One tree; none of it below a builtin's branch.

KitError                   the message says what was expected, what came, where, and what to do
├── Refused                trust forbids it: the other party must be told, and nothing is retried
│   ├── BudgetSpent        a release would cost more privacy than is left
│   ├── WrongSum           a sum that is not exactly its roster's: final for the run
│   ├── WorkspaceHeld      another process works in this workspace
│   ├── PortTaken          the aggregator's port is another program's, or is not for this user
│   ├── TakenOver          another process of the site speaks for it now, maybe of a copied machine
│   └── MaskReused         a second, different update for one site and round: ends the run
├── Damaged                a file of this machine's own: altered, torn, lost, or open to others
│   └── NoLocks            a file that cannot be locked: its filesystem knows no locks
├── InputError             what a person gave cannot be used: an argument, a file, a folder
│   ├── SettingError       a setting out of its range, or two that exclude each other
│   ├── PlanError          a plan that cannot be run
│   ├── CaseError          a case that must not be used
│   ├── VolumeError        a file that is no usable volume
│   └── ModelError         a model that is none of this kit's, or of another network
├── Busy                   too much at a time, or too slowly: the other party may try again
├── WireError              bytes that are not what the protocol says
│   ├── CiphertextError    no ciphertext, or no key, of these parameters
│   └── WorkerRefused      a worker took its order for one of these, or died of it
└── RunFailed              a run cannot begin or go on
    ├── RunStopped         too few sites are left, or a part of the round's state is missing
    ├── StaleState         a checkpoint that does not belong to the run that is being started
    └── AggregatorUnreachable

The desk's verbs (`scripts`) add their own below `RunFailed`. A process's top catches `KitError`
and, for its path, `OSError`. Everything else is a bug, which keeps its traceback: hence none of
these is an `OSError`, `ValueError` or `RuntimeError`.
"""

from src.printable import printable_lines


class KitError(Exception):
    """The root. exit_code: with which a process ends that this error has ended.

    command_code: the same of a command that a person has typed.

    A message may quote a bundle or the other party: it is printable wherever it is shown or logged.
    """

    exit_code = 1
    command_code = 1

    def __str__(self) -> str:
        return printable_lines(super().__str__())


class Refused(KitError):
    """Something that trust forbids: who, what, why, and what to do. Never retried."""

    exit_code = 77  # EX_NOPERM of sysexits.h: a process ended so is not to be started again


class BudgetSpent(Refused):
    """A release that would cost more than what is left; nothing was booked."""


class WrongSum(Refused):
    """A sum that is not exactly its roster's. Final for the run: no second look is taken."""


class WorkspaceHeld(Refused):
    """Another process works in this workspace; the message says which."""

    command_code = Refused.exit_code


class PortTaken(Refused):
    """The aggregator cannot listen on its port; the message says who has it, or why not."""

    command_code = Refused.exit_code


class TakenOver(Refused):
    """Another process of the same site has introduced itself since; this one is heard no more."""


class MaskReused(Refused):
    """A second, different update of one site for one round: its masks were used twice."""


class Damaged(KitError):
    """A file of this machine's own that cannot be relied on: chain, ledger, state, cache."""

    exit_code = 65  # EX_DATAERR: starting again does not help before somebody has restored it


class NoLocks(Damaged):
    """A file that cannot be locked; the message says where to put it."""


class InputError(KitError):
    """What a person gave cannot be used."""


class SettingError(InputError):
    """A setting out of its range; it names the setting."""


class PlanError(InputError):
    """A plan that cannot be run. The message says where, what was expected and what to do."""


class CaseError(InputError):
    """A case that must not be used; the message names case, file, expected, found, what to do."""


class VolumeError(InputError):
    """A file that is no usable volume; the message says what was expected, found, what to do."""


class ModelError(InputError):
    """A model that is none of this kit's, or does not fit the network that is to take it."""


class Busy(KitError):
    """Too many calls at a time, or one that is too slow: the other party may try again."""


class WireError(KitError):
    """Bytes that are no message of ours."""


class CiphertextError(WireError):
    """Bytes that are no ciphertext, or no key, of these parameters."""


class WorkerRefused(WireError):
    """What was handed to a worker is not what it should be; or the worker died of it."""


class RunFailed(KitError):
    """The run cannot go on; the message says why. Ends the aggregator's process with code 1."""


class RunStopped(RunFailed):
    """The encrypted rounds cannot go on; the message says why."""


class StaleState(RunFailed):
    """A checkpoint that does not belong to the run that is being started."""


class AggregatorUnreachable(RunFailed):
    """The aggregator could not be reached for too long; the message says since when and why."""
