"""Python without OpenFL and gRPC: whatever asks for them finds that they are not installed."""

import sys
from importlib.abc import MetaPathFinder

ENGINE = ("openfl", "grpc")


class NotInstalled(MetaPathFinder):
    """Says of these packages what Python says of one that nobody has installed."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in ENGINE:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return


def uninstall() -> None:
    """From here on, in this process."""
    assert not {name.partition(".")[0] for name in sys.modules} & set(ENGINE)
    sys.meta_path.insert(0, NotInstalled())
