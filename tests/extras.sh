#!/usr/bin/env bash
# Check the measures that need the extra eval: PESQ, ESTOI, DistillMOS, WORLD.
set -euo pipefail

usage() {
  cat <<EOF
usage: tests/extras.sh [-- PYTEST_OPTION ...]

Sets up .venv with the extras dev and eval, and runs tests/pipelines/extras. Two of the packages are
compiled, with a C++ compiler and Python's headers.
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
./setup.sh --extras dev,eval
.venv/bin/python -m pytest tests/pipelines/extras "${pytest_options[@]}"
