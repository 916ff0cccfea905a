"""Layouts: find a data set's cases by its names of folders and files.

What a label means comes from the kind that the user named; no file's content is used to guess it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from src import require
from src.data.case import SEQUENCES, CaseFiles
from src.data.kinds import KINDS, Kind
from src.data.nifti import ENDINGS
from src.data.unreadable import why_unreadable
from src.errors import CaseError, InputError, WireError
from src.files import bounded, refuse_closed
from src.strict import MOST_YAML_BYTES, yaml_value

GRADES = ("HGG", "LGG")
# <data set>/<part of it or site>/<grade>/<case> is as deep as the public archives nest.
DEPTH = 4


@dataclass(frozen=True)
class Dataset:
    """The content of `dataset.yaml` in a data folder.

    kind: the data set's, a key of `src.data.kinds.KINDS`.
    synthetic: whether the cases were made by this kit.
    """

    kind: str
    synthetic: bool = False


def read_dataset_yaml(folder: Path) -> Dataset:
    """The kind of the data in `folder`.

    InputError: there is no folder or no `dataset.yaml`, or the file is malformed.
    """
    path = folder / "dataset.yaml"
    refuse_closed(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, or a link to one that is gone.")
    if not path.is_file():
        raise InputError(
            f"{folder}: expected a dataset.yaml with a line such as `kind: brats2021`. Write one, "
            "or make site folders with `python -m scripts prepare`."
        )
    try:
        content = yaml_value(bounded(path, MOST_YAML_BYTES))
    except WireError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(content, dict) or "kind" not in content:
        raise InputError(f"{path}: expected a line such as `kind: brats2021`, found {content!r}.")
    require.one_of(f"{path}: kind", content["kind"], tuple(KINDS))
    synthetic = content.get("synthetic", False)
    require.one_of(f"{path}: synthetic", synthetic, (True, False))
    return Dataset(content["kind"], synthetic)


def write_dataset_yaml(folder: Path, dataset: Dataset) -> None:
    """Write what `read_dataset_yaml` reads."""
    content = {"kind": dataset.kind, "synthetic": dataset.synthetic}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def find_cases(root: Path, kind: str, *, labelled: bool = True) -> list[CaseFiles]:
    """Every case of this kind in `root` (a data set, a part of it, or one case), sorted by id.

    labelled: whether each case must have a label.
    InputError: there is no such folder, or no case of this kind in it.
    CaseError: files are missing or a case occurs twice; the message lists all such cases.
    """
    cases, refused = scan_cases(root, kind, labelled=labelled)
    if refused:
        raise CaseError("\n".join(str(error) for error in refused.values()))
    return cases


def scan_cases(
    root: Path, kind: str, *, labelled: bool = True
) -> tuple[list[CaseFiles], dict[str, CaseError]]:
    """The cases as `find_cases` finds them, and those that it would refuse, by id."""
    require.one_of("kind", kind, KINDS)
    refuse_closed(root)
    if not root.is_dir():
        raise InputError(f"Expected a folder with cases of kind {kind}, found none at {root}.")
    cases: dict[str, CaseFiles] = {}
    refused: dict[str, CaseError] = {}
    for folder in _case_folders(root, KINDS[kind]):
        case_id = folder.name.removesuffix(KINDS[kind].folder_tail)
        try:
            found = _case_files(root, folder, case_id, KINDS[kind], labelled)
            if case_id in cases:
                other = cases[case_id].folder
                raise CaseError(f"Case {case_id}: found in {other} and in {folder}. Keep one.")
            cases[case_id] = found
        except CaseError as error:
            refused[case_id] = error
        except OSError as error:  # one folder that cannot be opened; the others are still examined
            refused[case_id] = CaseError(f"Case {case_id}: {folder}: {why_unreadable(error)}")
    if not cases and not refused:
        raise InputError(_nothing_found(root, KINDS[kind]))
    return [cases[name] for name in sorted(cases) if name not in refused], refused


def _case_folders(root: Path, kind: Kind) -> Iterator[Path]:
    """Folders named like a case, at most DEPTH levels down; links are followed."""
    level = [root]
    if kind.patient_of_folder(root.name):
        yield root
        return
    for _ in range(DEPTH):
        below = [path for folder in level for path in _folders(folder)]
        level = []
        for path in below:
            if kind.patient_of_folder(path.name):
                yield path
            else:
                level.append(path)


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder; none of one that cannot be opened (`unused_in` names it)."""
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not is_debris(p.name))
    except OSError:
        return []


def is_debris(name: str) -> bool:
    """Whether a file or folder is hidden, or left behind by a Mac's zip: no data in any case."""
    return name.startswith((".", "__MACOSX"))


def _case_files(root: Path, folder: Path, case_id: str, kind: Kind, labelled: bool) -> CaseFiles:
    sequences = {name: _file(folder, kind.stem(case_id, name)) for name in SEQUENCES}
    label = _file(folder, kind.stem(case_id))
    lacking = [kind.stem(case_id, name) for name, path in sequences.items() if path is None]
    if label is None and labelled:
        lacking.append(kind.stem(case_id))
    if lacking:
        raise CaseError(
            f"Case {case_id}: expected {', '.join(lacking)} (.nii or .nii.gz) in {folder}, found "
            f"{_listed(folder)}. {_deeper(folder) or 'Add what is missing or take the case away.'}"
        )
    return CaseFiles(
        case_id=case_id,
        patient_id=str(kind.patient_of_folder(folder.name)),
        kind=kind.name,
        sequences={name: path for name, path in sequences.items() if path is not None},
        label=label,
        grade=_grade(root, folder),
    )


def _grade(root: Path, folder: Path) -> str | None:
    """The grade that the nearest folder above the case names, at most `root` itself."""
    for above in folder.parents:
        if above.name.upper() in GRADES:
            return above.name.upper()
        if above == root:
            break
    return None


def _file(folder: Path, stem: str) -> Path | None:
    """The file of this name. A link that leads nowhere counts, and reading it then reports that.

    CaseError: there are two, and nothing says which one is meant.
    """
    paths = [folder / (stem + ending) for ending in ENDINGS]
    there = [path for path in paths if path.exists() or path.is_symlink()]
    if len(there) > 1:
        raise CaseError(
            f"Case {folder.name}: {' and '.join(path.name for path in there)} both lie in "
            f"{folder}: nothing says which of them counts. Keep one."
        )
    return there[0] if there else None


def _deeper(folder: Path) -> str:
    """Advice where the files lie in a folder within the case's, as some zip programs leave it."""
    for inner in _folders(folder):
        if any(path.name.endswith(ENDINGS) and path.is_file() for path in inner.iterdir()):
            return f"NIfTI files lie one folder deeper, in {inner}: move them up."
    return ""


def _nothing_found(root: Path, kind: Kind) -> str:
    names = [path.name for folder in (root, *_folders(root)) for path in _folders(folder)]
    fitting = [other.name for other in KINDS.values() if any(map(other.patient_of_folder, names))]
    hint = f" The folders there are named like {' or '.join(fitting)}." if fitting else ""
    return (
        f"{root}: expected case folders of kind {kind.name}, named like {kind.example}; found "
        f"{_listed(root)}.{hint} Is --data or --kind right?"
    )


def _listed(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if not is_debris(path.name))
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return (", ".join(names[:6]) or "nothing") + more
