#!/usr/bin/env bash
# Resolves constraints.txt anew from pyproject.toml, keeping the pins below, which were tried together.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -n "${PIP_FIND_LINKS:-}" ]; then export UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS// /,}}; fi

pins=$(mktemp --suffix=.txt)
trap 'rm -f "$pins"' EXIT
cat >"$pins" <<'END'
torch==2.13.0+cpu
transformers==5.19.0
peft==0.21.2
huggingface_hub==2.4.0
pydantic==2.14.3
fastapi==0.136.3
gguf==0.19.0
uv==0.13.9
END
{
  echo "# Versions that were tried together (Linux x86-64, Python 3.11, no GPU). Names and versions only: where they come from is"
  echo "# the machine's business. Made again with: scripts/constraints.sh"
  "${VENV:-.venv}/bin/uv" pip compile pyproject.toml "$pins" --extra cpu --extra postgres --extra object-store --group dev --group soak --universal --python-version 3.11 \
    --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links
} >constraints.new
mv constraints.new constraints.txt
