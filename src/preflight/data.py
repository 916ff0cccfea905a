"""A site's data: whether it is there, of a known kind and enough; every case is read once."""

from collections.abc import Iterator
from pathlib import Path

from src.data.layouts import find_cases, read_dataset_yaml
from src.data.quality import inspect_folder
from src.data.split import SPLITS
from src.errors import InputError
from src.preflight.finding import Examination, State

LOADER = "src.engines.openfl.data_loader.SiteData"
FEW_PATIENTS = 4


def data(examination: Examination) -> Iterator[tuple[State, str]]:
    """Check paths, kind and numbers, and pass every case through quality control.

    A refused case is named here, since only the site reads this.
    """
    if examination.name is None:
        return
    loader = examination.plan.loader
    if loader["template"] != LOADER:
        yield "ok", f"read by {loader['template']}, which is not examined"
        return
    folder = data_folder(examination)
    settings = examination.plan.settings("data_loader")
    kind = settings.get("kind") or read_dataset_yaml(folder).kind
    files = find_cases(folder, kind)
    fraction, seed = settings["validation_fraction"], settings["split_seed"]
    train, validation = SPLITS[settings.get("split", "balanced")](files, fraction, seed)
    patients = len({case.patient_id for case in files})
    if patients < FEW_PATIENTS:
        yield "warn", f"{patients} patients; with so few, one says much about the model."
    findings = inspect_folder(folder, kind)
    errors = [finding for finding in findings if finding.severity == "error"]
    for finding in errors:
        yield "fail", f"{finding.case_id}: {finding.message}"
    if not errors:
        notes = f"; {len(findings)} remarks (prepare shows them)" if findings else ""
        text = f"{len(train)} cases to train, {len(validation)} to validate, all read{notes}"
        yield "ok", text


def data_folder(examination: Examination) -> Path:
    """The folder of the site's cases, from plan/data.yaml. InputError: it is not named there."""
    path = examination.workspace / "plan" / "data.yaml"
    for line in path.read_text(encoding="utf-8").splitlines():
        name, comma, folder = line.partition(",")
        if comma and name.strip() == examination.name:
            return examination.workspace / folder.strip()
    raise InputError(
        f"{path} names no data folder for {examination.name}: "
        f"fx collaborator create -n {examination.name} -d data/{examination.name}"
    )
