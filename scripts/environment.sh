# Sourced by scripts/demo and scripts/test: an environment that satisfies the pins.
# An active one that does is used as it is; else .venv is made, or reused.
satisfied() { # satisfied PYTHON FILE...: are the files' pins installed in PYTHON's environment?
  "$1" - "${@:2}" <<'PY' 2>/dev/null
import sys
from importlib.metadata import version
for path in sys.argv[1:]:
    for line in open(path):
        name, _, pin = line.split("#")[0].strip().partition("==")
        if name and version(name).split("+")[0] != pin:
            sys.exit(1)
PY
}

use_environment() { # use_environment FILE...: sets PYTHON
  if [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && satisfied "$(command -v python)" "$@"; then
    PYTHON=$(command -v python)
    return
  fi
  PYTHON=$PWD/.venv/bin/python
  if ! { [ -x "$PYTHON" ] && satisfied "$PYTHON" "$@"; }; then
    local base
    base=$(command -v python3.11 || command -v python3)
    "$base" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
      echo "error: expected Python 3.11 (OpenFL 1.9 is tested on it), found $("$base" --version)." >&2
      exit 1
    }
    echo "Installing the pinned packages into .venv (about a minute, 2 GB) ..."
    "$base" -m venv .venv
    "$PYTHON" -m pip install --quiet --disable-pip-version-check torch==2.13.0
    local files=()
    for file in "$@"; do files+=(-r "$file"); done
    "$PYTHON" -m pip install --quiet --disable-pip-version-check "${files[@]}" -c workspace/constraints.txt
  fi
}
