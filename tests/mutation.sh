#!/usr/bin/env bash
# Change the program a little, at random, and see whether the tests notice.
set -euo pipefail

parts=flows,teacher,student,distill,data,pipelines/evaluation
mutants=25 # changes to try in each part
seed=0     # of their choice
jobs=1     # processes
percent=85 # fail if fewer are noticed in a part
report=""  # Markdown file for the survivors

usage() {
  cat <<EOF
usage: tests/mutation.sh [options]

Swaps an operator, a comparison or a condition, changes a constant, drops a call, an argument or a
returned value, or takes the smallest for the largest: one at a time, in a copy of the tree. Runs
the tests that run the changed line, until one fails. The compiled kernels and the slow tests are
left out.

  --parts LIST   packages, with commas (now: $parts)
  --mutants N    changes to try in each part (now: $mutants)
  --seed N       of their choice (now: $seed)
  --jobs N       processes (now: $jobs)
  --percent P    fail if fewer are noticed in a part (now: $percent)
  --report FILE  Markdown file to write the survivors to (now: ${report:-none})
EOF
}

options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --parts | --mutants | --seed | --jobs | --percent | --report) options+=("$1" "${2:?$1 needs a value}"); shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) printf 'tests/mutation.sh: unknown option %s; see --help\n' "$1" >&2; exit 2 ;;
  esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
./setup.sh --extras dev
exec .venv/bin/python -m tests.mutation "${options[@]}"
