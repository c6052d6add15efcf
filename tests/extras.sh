#!/usr/bin/env bash
# Check what needs the extras eval (PESQ, ESTOI, DistillMOS, WORLD) and export (ONNX).
set -euo pipefail

usage() {
  cat <<EOF
usage: tests/extras.sh [-- PYTEST_OPTION ...]

Sets up .venv with the extras dev, eval and export, and runs tests/pipelines/extras. Two of the
packages are compiled, with a C++ compiler and Python's headers.
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
./setup.sh --extras dev,eval,export
.venv/bin/python -m pytest tests/pipelines/extras "${pytest_options[@]}"
