#!/usr/bin/env bash
# Feed damaged and forged files to every reader; tests/run.sh does the same with a few inputs.
set -euo pipefail

inputs=100000 # files, over all readers together
memory=12     # address space a process may use, GB: a file that asks for more is a failure

usage() {
  cat <<EOF
usage: tests/fuzz.sh [options]

Reads damaged and forged audio, features, mels, tables, manifests, journals, models, checkpoints and
recipes. A reader must read a file or refuse it in one line: a traceback, 20 s or more memory than
allowed is a failure, which Hypothesis makes as small as it can. Keep it under tests/fuzz/findings.

  --inputs N    files to try (now: $inputs)
  --memory GB   address space (now: $memory)
EOF
}

while [ $# -gt 0 ]; do
  case "$1" in
    --inputs) inputs="${2:?--inputs needs a value}"; shift 2 ;;
    --memory) memory="${2:?--memory needs a value}"; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) printf 'tests/fuzz.sh: unknown option %s; see --help\n' "$1" >&2; exit 2 ;;
  esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
./setup.sh --extras dev
ulimit -v $((memory * 1000000))
work=$(mktemp -d)
# The decoder of MP3 writes what it thinks of a file to standard error.
if ! FUZZ_INPUTS="$inputs" .venv/bin/python -m pytest tests/fuzz -q -s --basetemp "$work" \
  2> >(grep -v 'libmpg123\|^$' >&2); then
  printf 'tests/fuzz.sh: failed; the last file of each reader is under %s\n' "$work" >&2
  exit 1
fi
rm -rf "$work"
