#!/usr/bin/env bash
# Set up and check everything: style, types, layers, scripts, tests, and the tiny recipe end to end.
set -euo pipefail

usage() {
  cat <<EOF
usage: tests/run.sh [-- PYTEST_OPTION ...]

Sets up .venv, then runs ruff, mypy, import-linter, shellcheck, pytest with doctests, and the tiny
recipe through run_teacher.sh and run_distill.sh. Prints the coverage of lines.
Options after -- go to pytest instead.
EOF
}

pytest_options=()
case "${1:-}" in
  "") ;;
  -h | --help) usage; exit 0 ;;
  --) shift; pytest_options=("$@") ;;
  *) printf 'tests/run.sh: unknown option %s; see --help\n' "$1" >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf '%s  %s\n' "$(date '+%H:%M:%S')" "$*"; }

say "set-up"
./setup.sh --extras dev
bin=.venv/bin

say "ruff"
"$bin/ruff" check .
"$bin/ruff" format --check .
say "mypy"
"$bin/mypy"
say "import-linter"
"$bin/lint-imports"
say "shellcheck"
"$bin/shellcheck" -x setup.sh run_teacher.sh run_distill.sh pipelines/stages.sh tests/*.sh .ci/run

say "the tiny recipe through both scripts"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folders=(--exp "$work/exp" --dump "$work/dump" --corpora "$work/corpora")
./run_teacher.sh --recipe tiny "${folders[@]}"
./run_distill.sh --recipe tiny "${folders[@]}" --teacher_seconds 0.2
test -s "$work/exp/summary.md"
test -s "$work/exp/report/index.html"

say "pytest"
[ ${#pytest_options[@]} -gt 0 ] || pytest_options=(--cov) # a part of the suite covers less
"$bin/python" -m pytest "${pytest_options[@]}"
say "all passed"
