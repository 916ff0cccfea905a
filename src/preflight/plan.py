"""Rules about the plan: what is refused, its address, its sizes, and an earlier run's state."""

from collections.abc import Iterator
from pathlib import Path

from src.plan import plan as plans
from src.plan.sources import is_here
from src.preflight.finding import Examination, State
from src.rounds.combine import check_enough
from src.rounds.run_state import RunState
from src.secure_aggregation.bfv import MOST_BYTES, SUM

LARGEST_MESSAGE_BYTES = 2**30  # openfl 1.9, transport/grpc/common.py: the model is one message
LARGEST_BLOB_BYTES = 10**9  # SQLite: a model that is not encrypted lies in the checkpoint as one


def rules(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether the plan holds anything that `plan/README.md` lists as refused."""
    rounds = examination.plan.rounds
    yield "ok", f"{rounds} rounds, nothing in it is refused"


def address(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether the plan's address is the name in the aggregator's certificate."""
    host, port = examination.address
    name = examination.members.aggregator.name
    if host.lower() != name:
        yield (
            "fail",
            f"the plan says {host}, the aggregator's certificate {name}. TLS compares them: build "
            f"the workspace with --address {name}.",
        )
    else:
        yield "ok", f"{host}:{port}"


def size(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether the model, as it travels, fits into one message of OpenFL's and its checkpoint."""
    path = examination.workspace / examination.plan.init_weights
    if not path.is_file():
        _ = examination.bundle  # says so
    found, limit, why = path.stat().st_size, LARGEST_BLOB_BYTES, "OpenFL 1.9's checkpoint holds"
    encryption = examination.encryption
    if encryption is not None:  # its initial weights are float32
        found = encryption.chunks(found // 4) * MOST_BYTES[SUM]
        limit, why = LARGEST_MESSAGE_BYTES, "OpenFL 1.9 sends"
    if found > limit:
        yield "fail", f"{path}: {found / 1e9:.2f} GB a message; {why} {limit / 1e9:.2f} GB at most."
    else:
        yield "ok", f"{found / 1e6:.1f} MB a message"


def encryption(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether enough sites are enrolled for the plan's encryption."""
    found = examination.encryption
    if found is None:
        yield "warn", "updates are not encrypted: the aggregator reads every site's model"
        return
    needed = found.needed(len(examination.members.sites))
    yield (
        "ok",
        f"{found.bits}-bit sums of at least {needed} of {len(examination.members.sites)} sites",
    )


def liars(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether enough sites are enrolled for the plan's rule to withstand as many as it says."""
    part = examination.plan.rule
    if part is None or examination.encryption is not None:
        return
    if not all(is_here(found["template"]) for _, found in plans.parts({"rule": dict(part)})):
        yield "warn", f"{part['template']} comes with this bundle; its code was not run. Read it."
        return
    rule, sites = plans.build(part), len(examination.members.sites)
    check_enough(rule, sites)
    if hasattr(rule, "sites_needed"):
        yield "ok", f"{type(rule).__name__}: of {sites} sites as many may lie: {rule.liars}"


def noise(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether anything can be learnt under the plan's privacy per site."""
    part = examination.plan.noise
    encryption = examination.encryption
    if not part or encryption is None:
        return
    if not is_here(part["template"]):
        yield "warn", f"{part['template']} comes with this bundle; its code was not run. Read it."
        return
    mechanism = plans.build(part)
    from src.engines.openfl.model_file import read_plain_model
    from src.rounds.preparation import shared_noise

    sites = len(examination.members.sites)
    initial = examination.workspace / examination.plan.init_weights
    shared, _ = shared_noise(
        mechanism,
        encryption,
        examination.plan,
        sites,
        lambda: read_plain_model(initial).size,
    )
    for warning in mechanism.warnings(shared, examination.plan):
        yield "warn", warning
    yield "ok", f"{shared.values} values are noised, counting on {shared.contributors} honest sites"


def state(examination: Examination) -> Iterator[tuple[State, str]]:
    """Whether the aggregator's checkpoint is this run's, or there is none."""
    if examination.name is not None:
        return
    settings = examination.plan.settings("aggregator")
    database = examination.workspace / Path(settings.get("persistent_db_path", "tensor.db"))
    resumed = RunState(database).belongs(examination.bundle.digest)
    yield "ok", "an interrupted run, which will be resumed" if resumed else "a fresh run"
