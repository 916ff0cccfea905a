"""`python -m src <verb>`: what a site and the aggregator's host do beside `fx`."""

import sys
from pathlib import Path

from src import account
from src.printable import print_in_any_locale
from src.refusal import errors_end_the_command
from src.verbs.lazy import LazyGroup

VERBS = {
    "approve": "Sign that exactly this bundle may run here.",
    "audit": "Check the audit logs.",
    "doctor": "Check whether a start here would work and be safe.",
    "export": "Write the final model as a torch file.",
    "ledger": "What has been spent of patients' privacy at this site.",
    "receive": "Take a package or a newer revocation list from the desk.",
    "request-encryption-key": "Add the site's second key to its certificate request.",
    "request-words": "Print the words of the aggregator's certificate request.",
    "start": "Verify what was approved, then become `fx … start`.",
    "show": "Show what would run here, what leaves, who takes part, what has changed.",
}

main = LazyGroup("src.verbs", VERBS, help=__doc__)

if __name__ == "__main__":
    if not sys.flags.safe_path:
        sys.path.insert(0, str(Path.cwd()))  # templates of the plan, as `fx` finds them
    account.complete()
    print_in_any_locale()
    with errors_end_the_command():
        main(prog_name="python -m src")
