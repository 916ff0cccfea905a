"""A site's data: whether it is there, of a known kind and enough; every case is read once."""

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from src.data.case import CaseFiles
from src.data.clinical import read_clinical, unmatched
from src.data.layouts import find_cases, read_dataset_yaml, scan_cases
from src.data.quality import inspect_folder
from src.data.split import SPLITS
from src.data.unused import told, unused_in
from src.errors import InputError
from src.preflight.finding import Examination, State
from src.text_file import content_of, read_text

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
    findings = inspect_folder(folder, kind)
    errors = [finding for finding in findings if finding.severity == "error"]
    for finding in errors:
        yield "fail", f"{finding.case_id}: {finding.message}"
    if errors:
        whole, _ = scan_cases(folder, kind)
        for note in notes_on(folder, kind, whole):
            yield "warn", note
        return
    files = find_cases(folder, kind)
    fraction, seed = settings["validation_fraction"], settings["split_seed"]
    train, validation = SPLITS[settings.get("split", "balanced")](files, fraction, seed)
    patients = len({case.patient_id for case in files})
    if patients < FEW_PATIENTS:
        yield "warn", f"{patients} patients; with so few, one says much about the model."
    for note in notes_on(folder, kind, files):
        yield "warn", note
    notes = f"; {len(findings)} remarks (prepare shows them)" if findings else ""
    yield "ok", f"{len(train)} cases to train, {len(validation)} to validate, all read{notes}"


def notes_on(folder: Path, kind: str, files: list[CaseFiles]) -> Iterator[str]:
    """What lies in the folder and is used by nothing, and rows of its table that are no case's."""
    yield from told(folder, unused_in(folder, kind, files), len(files))
    clinical = read_clinical(folder)
    yield from (*clinical.faults, *clinical.notes, *unmatched(clinical, files))


def data_folder(examination: Examination) -> Path:
    """The folder of the site's cases, from plan/data.yaml.

    InputError: it is not named there, or a line is none that OpenFL 1.9 reads as it was meant (it
    takes blanks and a byte order mark for parts of names).
    """
    path = examination.workspace / "plan" / "data.yaml"
    if content_of(path).startswith(BOM_UTF8):
        raise InputError(
            f"{path}: it begins with a byte order mark, which OpenFL takes for a part of the first "
            "name. Save it as UTF-8 without one."
        )
    folders = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.rstrip() or line.startswith("#"):
            continue
        name, comma, folder = line.rstrip().partition(",")
        if not comma or not folder or name != name.strip() or folder != folder.strip():
            raise InputError(
                f"{path}, line {number}: expected NAME,FOLDER without blanks, found {line!r}."
            )
        folders[name] = folder
    if examination.name in folders:
        return examination.workspace / folders[examination.name]
    raise InputError(
        f"{path} names no data folder for {examination.name}: "
        f"fx collaborator create -n {examination.name} -d data/{examination.name}"
    )
