"""Layouts: how each data set names its folders and files, and what its labels mean.

The one table that knows a data set by name. What a label means is read from the kind that the user
named; a file's content is never used to guess.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from src.data.case import SEQUENCES, CaseError, CaseFiles

GRADES = ("HGG", "LGG")
ENDINGS = (".nii.gz", ".nii")
# BraTS 2020 ships the label of training case 355 under the name it had at its hospital.
ODD_LABELS = {"BraTS20_Training_355": "W39_1998.09.19_Segm"}


@dataclass(frozen=True)
class Layout:
    """case: regex of a case folder's name; its group `patient` is the person, if there is one.

    sequences: the word for each sequence in a file name, which is folder name + `joint` + word.
    """

    case: str
    example: str
    joint: str = "_"
    sequences: tuple[str, str, str, str] = ("t1", "t1ce", "t2", "flair")
    label: str = "seg"


_GLI = ("t1n", "t1c", "t2w", "t2f")
LAYOUTS = {
    "brats2018": Layout(r"Brats18_\w+_1", "Brats18_CBICA_AAB_1"),
    "brats2019": Layout(r"BraTS19_\w+_1", "BraTS19_CBICA_AAB_1"),
    "brats2020": Layout(r"BraTS20_\w+_\d{3}", "BraTS20_Training_001"),
    "brats2021": Layout(r"BraTS2021_\d{5}", "BraTS2021_00000"),
    "fets2022": Layout(r"FeTS2022_\d{5}", "FeTS2022_01341"),
    # the last three digits are the time point: several cases, one patient
    "brats2023": Layout(r"(?P<patient>BraTS-GLI-\d{5})-\d{3}", "BraTS-GLI-00000-000", "-", _GLI),
    "brats2024": Layout(r"(?P<patient>BraTS-GLI-\d{5})-\d{3}", "BraTS-GLI-00005-100", "-", _GLI),
}


@dataclass(frozen=True)
class Dataset:
    """What `dataset.yaml` in a data folder says."""

    kind: str
    synthetic: bool


def layout_of(kind: str | None) -> Layout:
    """The layout of a kind. ValueError: none of that name; the message lists them."""
    if kind not in LAYOUTS:
        raise ValueError(
            f"Kind {kind!r} is unknown. The kind says what the labels mean, so it must be named: "
            f"--kind one of {', '.join(LAYOUTS)}."
        )
    return LAYOUTS[kind]


def read_dataset_yaml(folder: Path) -> Dataset:
    """The kind of the data in `folder`. ValueError: no or a wrong `dataset.yaml`."""
    path = folder / "dataset.yaml"
    if not path.is_file():
        raise ValueError(
            f"{folder}: expected a dataset.yaml with a line such as `kind: brats2021`. Write one, "
            "or make site folders with `python -m scripts prepare`."
        )
    content = yaml.safe_load(path.read_text())
    if not isinstance(content, dict) or "kind" not in content:
        raise ValueError(f"{path}: expected `kind: …`, found {content!r}.")
    layout_of(content["kind"])
    return Dataset(content["kind"], bool(content.get("synthetic", False)))


def find_cases(root: Path, kind: str, *, labelled: bool = True) -> list[CaseFiles]:
    """Every case of this kind below `root`, sorted by case id.

    labelled: demand a label in each case. ValueError: no folder, no case, or one id twice;
    CaseError: a sequence or a label is missing.
    """
    layout = layout_of(kind)
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder.")
    folders = case_folders(root, layout)
    if not folders:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:5]) or "nothing"
        raise ValueError(
            f"{root}: expected case folders of kind {kind}, named like {layout.example}; "
            f"there is {there}. Is --data or --kind right?"
        )
    names = [folder.name for folder in folders]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{root}: case {name} stands there {names.count(name)} times.")
    return [_case_files(folder, kind, layout, labelled) for folder in folders]


def case_folders(root: Path, layout: Layout) -> list[Path]:
    """Folders named like a case, at most three levels down, sorted by name. Links are followed."""
    found: list[Path] = []
    level = [root]
    for _ in range(3):
        below = [path for folder in level for path in folder.iterdir() if path.is_dir()]
        found += [path for path in below if re.fullmatch(layout.case, path.name)]
        level = [path for path in below if path not in set(found)]
    return sorted(found, key=lambda path: path.name)


def _case_files(folder: Path, kind: str, layout: Layout, labelled: bool) -> CaseFiles:
    words = dict(zip(SEQUENCES, layout.sequences, strict=True))
    files = {s: _file(folder, folder.name + layout.joint + word) for s, word in words.items()}
    for sequence, path in files.items():
        if path is None:
            raise CaseError(
                f"Case {folder.name}: sequence {sequence} is missing. Expected "
                f"{folder.name}{layout.joint}{words[sequence]}.nii.gz (or .nii) in {folder}, found "
                f"{', '.join(sorted(p.name for p in folder.iterdir())) or 'an empty folder'}."
            )
    label = _file(folder, folder.name + layout.joint + layout.label)
    if label is None and folder.name in ODD_LABELS:
        label = _file(folder, ODD_LABELS[folder.name])
    if label is None and labelled:
        raise CaseError(
            f"Case {folder.name}: the label is missing. Expected "
            f"{folder.name}{layout.joint}{layout.label}.nii.gz (or .nii) in {folder}."
        )
    match = re.fullmatch(layout.case, folder.name)
    patient = match.groupdict().get("patient") if match else None
    return CaseFiles(
        case_id=folder.name,
        patient_id=patient or folder.name,
        kind=kind,
        sequences={s: path for s, path in files.items() if path is not None},
        label=label,
        grade=folder.parent.name if folder.parent.name in GRADES else None,
    )


def _file(folder: Path, stem: str) -> Path | None:
    return next((p for ending in ENDINGS if (p := folder / (stem + ending)).is_file()), None)
