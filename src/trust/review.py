"""A review says what a bundle would do, for the engineer who is to sign it.

It only reads files; nothing of the bundle runs. Classes are read as text (`src.plan.sources`), and
built only where the kit that is looking has them itself.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from src.differential_privacy.guarantee import guarantees
from src.plan import plan as plans
from src.plan import rules
from src.plan.declared import declarations
from src.plan.engine_classes import NAMED, NETWORK
from src.plan.sources import Sources, is_here
from src.plan.view import Part, Plan
from src.trust import approval, bundle, compiled, fingerprint, members
from src.trust.certificate import CertificatePath
from src.trust.members import Members

KIT = Path(__file__).resolve().parents[2]  # the copy of the kit whose code this is
UNREAD = (
    "comes with this bundle, and not with the kit that is looking: its code was not run. Read it"
)
OPENFL_RULE = {"template": "OpenFL's weighted average"}


@dataclass(frozen=True)
class Review:
    """What `show` prints.

    digest: the bundle's.
    root: the fingerprint of the root certificate; empty before the desk has delivered.
    members: None while the desk has not signed a list; there is nothing to approve then.
    facts: pairs of a heading and a sentence.
    changes: what differs from the last approved bundle; None if none was approved.
    """

    digest: str
    root: str
    members: Members | None
    facts: list[tuple[str, str]]
    changes: list[str] | None


def review(workspace: Path, now: datetime) -> Review:
    """Read and check the bundle in a workspace.

    Refused, PlanError: it must not run; the message says why.
    """
    delivered = (workspace / members.FILE).is_file()
    listed = members.read(workspace, now) if delivered else None
    signed = bundle.read(workspace, members_signed=delivered)
    plan = Plan.read(workspace / bundle.PLAN)
    rules.check(plan.raw, name=str(workspace / bundle.PLAN), sources=Sources.of(workspace))
    chain = workspace / members.CHAIN_FILE
    root = fingerprint.of_certificate(CertificatePath.read(chain).root) if delivered else ""
    first = approval.last_approved(workspace) is None
    changes = None if first else approval.changes(workspace, signed)
    return Review(signed.digest, root, listed, _facts(workspace, plan, signed), changes)


def _facts(workspace: Path, plan: Plan, signed: bundle.Bundle) -> list[tuple[str, str]]:
    """What the engineer should know, as pairs of a heading and a sentence."""
    code = bundle.Bundle({p: d for p, d in signed.files.items() if p.endswith(bundle.CODE)})
    weights = plan.init_weights
    facts = [
        ("aggregator", f"{plan.address}:{plan.port}"),
        ("rounds", f"{plan.rounds} of training, then one that validates"),
        ("task runner", plan.raw["task_runner"]["template"]),
        *(
            (name.replace("_", " "), _part(plan.runner[name]))
            for name in ("model", "algorithm", "local")
            if name in plan.runner
        ),
        ("rule", _part(plan.rule or OPENFL_RULE)),
    ]
    sources = Sources.of(workspace)
    facts += [
        (place.rpartition(".")[2].replace("_", " "), f"{part['template']} {UNREAD}")
        for place, part in plans.parts(plan.raw)
        if part["template"] not in (*NAMED, NETWORK) and not is_here(part["template"])
    ]
    said = [says for _, _, says in declarations(plan.raw, sources)]
    facts += [("leaves the site", says.leaves) for says in said if says.leaves]
    facts += [("privacy", says.privacy) for says in said if says.privacy]
    facts += [
        ("privacy", private.part.describe(plan.rounds)) for private in guarantees(plan, sources)
    ]
    return [
        *facts,
        ("code", f"{len(code.files)} files, SHA-256 {code.digest}"),
        ("code against this kit", _against_kit(workspace, signed)),
        *_compiled(workspace),
        ("initial weights", f"{weights}, SHA-256 {signed.files[Path(weights).as_posix()]}"),
        ("requirements", f"SHA-256 {signed.files['requirements.txt']}"),
    ]


def _compiled(workspace: Path) -> list[tuple[str, str]]:
    """How many compiled copies lie beside the code; they are counted, and not read."""
    number = len(compiled.copies(workspace))
    return [("compiled copies", f"{number}; approve and start remove them unread")] * bool(number)


def _against_kit(workspace: Path, signed: bundle.Bundle) -> str:
    """How the bundle's code differs from the code that is looking at it."""
    if workspace.resolve() == KIT:
        return "not compared: this is the bundle's own code. Run `show` from a kit that you trust"
    ours = {
        path: fingerprint.of_file(KIT / path) for path in signed.files if (KIT / path).is_file()
    }
    different = [
        path
        for path, sha256 in signed.files.items()
        if (path.startswith("src/") or path.endswith(bundle.CODE)) and ours.get(path) != sha256
    ]
    if not different:
        return f"the same as in {KIT}"
    return f"{len(different)} files differ from {KIT}: {', '.join(different)}"


def _part(part: Part | None) -> str:
    """A part's class and settings in one line."""
    if not part:
        return "-"
    settings = ", ".join(f"{key} {value}" for key, value in (part.get("settings") or {}).items())
    return f"{part['template'].rpartition('.')[2]}{f' ({settings})' if settings else ''}"
