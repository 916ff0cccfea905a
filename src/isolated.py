"""Runs a program from its source: `python -I -B src/isolated.py ROOT PROGRAM [ARGUMENT …]`.

Below the folder ROOT no compiled copy (`__pycache__`) is read: Python would run one unread, and
whoever can write beside the code could plant it. Installed packages keep theirs; they are as
trusted as the interpreter. PROGRAM: a module below ROOT, or the path of a script. The switches do
the rest: `-I` takes nothing from the caller's environment or folder, `-B` writes no compiled copy.
"""

import runpy
import sys
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType


class FromSource(SourceFileLoader):
    """Loads a module from its source, whatever lies beside it."""

    def get_code(self, fullname: str) -> CodeType:
        """The source, compiled now."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def read_from_source(root: Path) -> None:
    """From now on, everything below `root` but an environment that lies there."""
    loaders = (FromSource, SOURCE_SUFFIXES), (ExtensionFileLoader, EXTENSION_SUFFIXES)
    installed = Path(sys.prefix)

    def hook(folder: str) -> FileFinder:
        path = Path(folder)
        ours = path.is_relative_to(root) and not path.is_relative_to(installed)
        if not ours or not path.is_dir():
            raise ImportError(f"{folder} lies elsewhere", path=folder)
        return FileFinder(folder, *loaders)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


def main() -> None:
    """Run what the command line names."""
    root = Path(sys.argv[1]).resolve()
    read_from_source(root)
    sys.argv = sys.argv[2:]
    if Path(sys.argv[0]).is_absolute():  # it sees to its own path; `fx` adds the folder it is in
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        sys.path.insert(0, str(root))
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
