# Sourced by scripts/demo, scripts/test, scripts/rehearse and scripts/lock: an environment that
# satisfies the locks. An active one that does is used as it is; else .venv is made, or reused.
satisfied() { # satisfied PYTHON LOCK...: is everything that the locks name installed in PYTHON's environment?
  "$1" - "${@:2}" <<'PY' 2>/dev/null
import re, sys
from importlib.metadata import version
for path in sys.argv[1:]:
    for name, pin in re.findall(r"^([\w.-]+)==(\S+)", open(path).read(), re.MULTILINE):
        if version(name).split("+")[0] != pin.split("+")[0]:
            sys.exit(1)
PY
}

base_python() { # prints the Python 3.11 that environments are made with
  local base
  base=$(command -v python3.11 || command -v python3)
  "$base" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "error: expected Python 3.11 (OpenFL 1.9 is tested on it), found $("$base" --version)." >&2
    return 1
  }
  echo "$base"
}

# install_locked PYTHON LOCK...: only files whose SHA-256 a lock names. TORCH is cpu or cuda, else
# whether there is an NVIDIA card decides.
install_locked() {
  local pip=("$1" -m pip install --quiet --disable-pip-version-check --require-hashes) files=()
  local build=${TORCH:-$(command -v nvidia-smi >/dev/null && echo cuda || echo cpu)}
  for lock in "workspace/$build.txt" "${@:2}"; do files+=(-r "$lock"); done
  if [ "$build" = cpu ]; then # not on PyPI: from the configured index, else from PyTorch's own
    "${pip[@]}" --no-deps -r workspace/cpu.txt || {
      echo "Not there, so from PyTorch's own index ..."
      "${pip[@]}" --no-deps --index-url https://download.pytorch.org/whl/cpu -r workspace/cpu.txt
    }
  fi
  "${pip[@]}" "${files[@]}"
}

use_environment() { # use_environment [LOCK...]: sets PYTHON; LOCKs are what is needed beside the kit's own
  local locks=(workspace/lock.txt "$@") torch=workspace/cpu.txt # the version is that of cuda.txt
  if [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] &&
    satisfied "$(command -v python)" "$torch" "${locks[@]}"; then
    PYTHON=$(command -v python)
    return
  fi
  PYTHON=$PWD/.venv/bin/python
  if ! { [ -x "$PYTHON" ] && satisfied "$PYTHON" "$torch" "${locks[@]}"; }; then
    local base
    base=$(base_python) || exit 1
    echo "Installing the locked packages into .venv (1.5 GB; 5.4 GB with CUDA) ..."
    "$base" -m venv .venv
    install_locked "$PYTHON" "${locks[@]}"
  fi
}
