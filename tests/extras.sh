#!/usr/bin/env bash
# Check what needs the extras eval (PESQ, ESTOI, DistillMOS, WORLD), export (ONNX) and hub (huggingface_hub).
set -euo pipefail

usage() {
  cat <<EOF
usage: tests/extras.sh [-- PYTEST_OPTION ...]

Sets up .venv with the extras dev, eval, export and hub, and runs tests/pipelines/extras. Two of the
packages are compiled: where there is no C++ compiler or no Python.h, Debian's g++ and python3-dev
are installed, which needs root.
EOF
}

pytest_options=()
case "${1:-}" in
  "") ;;
  -h | --help) usage; exit 0 ;;
  --) shift; pytest_options=("$@") ;;
  *) printf 'tests/extras.sh: unknown option %s; see --help\n' "$1" >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/needs.sh
. tests/needs.sh
say "set-up"
./setup.sh --extras dev
need_compiler .venv/bin/python
./setup.sh --extras dev,eval,export,hub
.venv/bin/python -m pytest tests/pipelines/extras "${pytest_options[@]}"
