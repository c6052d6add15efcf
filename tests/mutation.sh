#!/usr/bin/env bash
# Change flows/ and the losses of distill/ a little, at random, and see whether the tests notice.
set -euo pipefail

mutants=100 # changes to try
seed=0      # of their choice
jobs=1      # processes
percent=85  # fail if fewer are noticed
report=""   # Markdown file for the survivors

usage() {
  cat <<EOF
usage: tests/mutation.sh [options]

Swaps an operator, a comparison or a condition, changes a constant or drops a call, one at a time
in a copy of the tree, and runs the tests until one fails. The compiled kernels are left out.

  --mutants N    changes to try (now: $mutants)
  --seed N       of their choice (now: $seed)
  --jobs N       processes (now: $jobs)
  --percent P    fail if fewer are noticed (now: $percent)
  --report FILE  Markdown file to write the survivors to (now: ${report:-none})
EOF
}

options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --mutants | --seed | --jobs | --percent | --report) options+=("$1" "${2:?$1 needs a value}"); shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) printf 'tests/mutation.sh: unknown option %s; see --help\n' "$1" >&2; exit 2 ;;
  esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
./setup.sh --extras dev
exec .venv/bin/python -m tests.mutation "${options[@]}"
