#!/usr/bin/env bash
# Kill, starve and damage runs at random, and check that nothing is lost; tests/run.sh does it briefly.
set -euo pipefail

kills=60  # kill -9s, over preparing, training and generating
seed=0    # of the moments and places
report="" # Markdown file for the table

usage() {
  cat <<EOF
usage: tests/faults.sh [options]

Runs the pipeline on synthetic audio once undisturbed, then under kill -9, SIGTERM, full disks,
damaged checkpoints, models and features, deleted files and second runs, and compares every result
with the undisturbed one, byte by byte.

  --kills N      kill -9s (now: $kills)
  --seed N       of what is random (now: $seed)
  --report FILE  Markdown file to write the table to (now: ${report:-none})
EOF
}

options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --kills | --seed | --report) options+=("$1" "${2:?$1 needs a value}"); shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) printf 'tests/faults.sh: unknown option %s; see --help\n' "$1" >&2; exit 2 ;;
  esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
./setup.sh --extras dev
exec .venv/bin/python -m tests.faults "${options[@]}"
