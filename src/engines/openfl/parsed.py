"""Whether OpenFL runs the plan that was approved (a door to OpenFL).

`fx … start -p other.yaml` runs another file than the one that the bundle's digest covers, and
OpenFL reads a plan its own way. So the command's options are looked at, and what OpenFL has parsed
is compared with the file, by the name that OpenFL makes of the two.
"""

from hashlib import sha384
from pathlib import Path

import click
import yaml

from src.errors import Refused
from src.plan import plan as plans
from src.trust.bundle import PLAN
from src.trust.party import COLLABORATORS

OPTIONS = {"plan": PLAN, "authorized_cols": COLLABORATORS}  # of `fx collaborator|aggregator start`


def check_parsed(federation_uuid: str) -> None:
    """Refused if the `fx` command that runs was given other files, or has read another plan.

    federation_uuid: as OpenFL has made it. Outside of an `fx` command nothing is checked.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return
    for option, expected in OPTIONS.items():
        given = context.params.get(option)
        if given is not None and Path(given).resolve() != expected.resolve():
            raise Refused(
                f"`fx` was given {given}, expected {expected}: nobody has approved another. Start "
                f"without the option --{option}."
            )
    if federation_uuid != uuid_of(PLAN):
        raise Refused(
            f"OpenFL has read another plan than lies in {PLAN} now ({federation_uuid}, expected "
            f"{uuid_of(PLAN)}): it was changed since, or is read in two ways. Start again."
        )


def uuid_of(path: Path) -> str:
    """OpenFL 1.9's name of a federation: the plan's file and the hash of what it holds.

    (`Plan.resolve` in openfl/federated/plan/plan.py.)
    """
    text = yaml.dump(plans.as_openfl_reads(path))
    return f"{path.name}_{sha384(text.encode()).hexdigest()[:8]}"
