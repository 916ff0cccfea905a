"""What lies in a data folder, looks like a case, and is used by nothing: found, counted and named.

A case under a name that is almost right would be missing without a word otherwise.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from src.data.case import CaseFiles
from src.data.kinds import KINDS, Kind
from src.data.layouts import DEPTH, is_debris
from src.data.nifti import ENDINGS

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".z01")
DEEPEST = 12  # levels that are looked through; nobody nests deeper
# Image files of any kind: data in another format would be passed over without a word, too.
IMAGES = (*ENDINGS, ".mha", ".mhd", ".nrrd", ".mgz", ".mnc", ".hdr", ".dcm")
MOST_NAMED = 8  # of one sort, in a message


@dataclass(frozen=True)
class Unused:
    """Something that is used by nothing. reason: what it is; the same words for the same sort."""

    path: Path
    reason: str


def unused_in(
    root: Path, kind: str, cases: Collection[CaseFiles], refused: Collection[str] = ()
) -> list[Unused]:
    """What in `root` looks like a case, or a part of one, and is neither used nor refused."""
    known = {case.folder for case in cases}
    tail = KINDS[kind].folder_tail
    found = _walk(root, KINDS[kind], known, {name + tail for name in refused})
    return list(found) + _further_files(KINDS[kind], cases)


def told(root: Path, unused: Collection[Unused], used: int, refused: int = 0) -> list[str]:
    """Sentences about what is used by nothing: the count first, then a line for each sort."""
    if not unused:
        return []
    sorts = Counter(one.reason for one in unused)
    lines = [
        f"{root}: {used} cases are used{f', {refused} refused' if refused else ''}; used by "
        f"nothing: {len(unused)}."
    ]
    for reason, count in sorts.items():
        paths = [one.path for one in unused if one.reason == reason]
        names = ", ".join(repr(os.path.relpath(path, root)) for path in paths[:MOST_NAMED])
        more = f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""
        lines.append(f"{names}{more}: {reason}")
    return lines


def debris_in(root: Path) -> str:
    """A sentence about what a Mac's zip leaves behind, which is passed over; empty without any."""
    counts: Counter[str] = Counter()
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            if name == "__MACOSX" or name == ".DS_Store" or name.startswith("._"):
                counts["._*" if name.startswith("._") else name] += 1
        folders[:] = [name for name in folders if not is_debris(name)]
        if len(Path(folder).relative_to(root).parts) > DEEPEST:
            folders.clear()
    if not counts:
        return ""
    listed = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"{root}: passed over, as a Mac has left them: {listed}."


def _walk(root: Path, kind: Kind, known: set[Path], refused: set[str]) -> Iterator[Unused]:
    """Every folder but the used ones; links are followed, none of them twice."""
    seen: set[Path] = set()
    above = {folder for case in known for folder in case.parents}
    level = [root]
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in level:
            place = folder.resolve()
            named_so = folder.name in refused and kind.patient_of_folder(folder.name)
            if folder in known or place in seen or named_so:
                continue
            seen.add(place)
            try:
                entries = [path for path in sorted(folder.iterdir()) if not is_debris(path.name)]
                inner = [path for path in entries if path.is_dir()]
            except OSError as error:
                yield Unused(folder, f"cannot be opened ({error.strerror}).")
                continue
            images = any(path.name.lower().endswith(IMAGES) for path in entries)
            if folder == root or folder in above:
                if images:
                    yield Unused(folder, "holds image files beside the cases; a case is a folder.")
            elif images or _almost(kind, folder.name):
                yield Unused(folder, _why(kind, folder))
                inner = []
            below += inner
            yield from _files(entries, kind)
        level = below


def _files(entries: list[Path], kind: Kind) -> Iterator[Unused]:
    """What is no folder, and stands for a case or for many."""
    for path in entries:
        if path.is_symlink() and not path.exists():
            yield Unused(path, "is a link that leads nowhere.")
        elif path.name.lower().endswith(ARCHIVES) and path.is_file():
            yield Unused(path, "is an archive that was not unpacked.")
        elif path.is_file() and kind.patient_of_folder(path.name):
            yield Unused(path, "is a file, and a case is a folder; was its content fetched?")


def _why(kind: Kind, folder: Path) -> str:
    like = f"a case of kind {kind.name} is called like {kind.example.split('/')[-1]}"
    if kind.patient_of_folder(folder.name):
        return f"lies more than {DEPTH} folders down. Move it up, or give a folder below as --data."
    if _almost(kind, folder.name):
        return f"is almost named like a case; {like}. Rename it, or take it away."
    others = [other.name for other in KINDS.values() if other.patient_of_folder(folder.name)]
    if others:
        return f"is named like a case of kind {' or '.join(others)}; {like}."
    return f"holds image files and is named like no case; {like}."


def _almost(kind: Kind, name: str) -> bool:
    """Whether a folder's name holds a case's: another case, blanks, "(1)", "copy of" around it."""
    if kind.patient_of_folder(name):
        return True
    pattern = kind.case.replace("(?P<patient>", "(?:")
    squeezed = re.sub(r"[\s_.-]+", "_", name)
    loose = pattern.replace("-", "_")
    return bool(
        re.search(pattern, name, re.IGNORECASE) or re.search(loose, squeezed, re.IGNORECASE)
    )


def _further_files(kind: Kind, cases: Collection[CaseFiles]) -> list[Unused]:
    """NIfTI files in case folders that are no part of the case, where a kind has only five."""
    if kind.more_files:
        return []
    found = []
    for case in cases:
        used = set(case.paths)
        for path in sorted(case.folder.iterdir()):
            if path.name.endswith(ENDINGS) and path not in used and not is_debris(path.name):
                found.append(Unused(path, "lies in a case's folder and is none of its five files."))
    return found
