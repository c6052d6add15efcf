#!/usr/bin/env bash
# Set up and check everything: style, types, layers, scripts, tests, and the tiny recipe end to end.
set -euo pipefail

without="" # parts left out: extras, browser

usage() {
  cat <<EOF
usage: tests/run.sh [--without LIST] [-- PYTEST_OPTION ...]

Sets up .venv, then runs ruff, mypy, import-linter, shellcheck, the tiny recipe through
run_teacher.sh and run_distill.sh, pytest with doctests, tests/extras.sh and tests/browser.sh.
Prints the coverage of lines. Options after -- go to pytest instead, which then is the last step.
What is missing on the machine (a C++ compiler, a browser, npm) is installed from Debian's packages.

  --without LIST  leave out extras, browser or extras,browser (now: ${without:-nothing})
EOF
}

pytest_options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --without) without="${2:?--without needs a value}"; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    --) shift; pytest_options=("$@"); break ;;
    *) printf 'tests/run.sh: unknown option %s; see --help\n' "$1" >&2; exit 2 ;;
  esac
done
case "$without" in
  "" | extras | browser | extras,browser | browser,extras) ;;
  *) printf 'tests/run.sh: --without is %s, expected extras, browser or both with a comma\n' "$without" >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/needs.sh
. tests/needs.sh
is_left_out() { [[ ",$without," == *",$1,"* ]] || [ ${#pytest_options[@]} -gt 0 ]; }

say "set-up"
./setup.sh --extras dev
bin=.venv/bin
# A machine on which a part cannot run says so now, not after half an hour.
is_left_out extras || need_compiler "$bin/python"
is_left_out browser || { need_browser; need_npm; }

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
./run_distill.sh --recipe tiny "${folders[@]}"
test -s "$work/exp/summary.md"
test -s "$work/exp/report/index.html"

say "pytest"
if [ ${#pytest_options[@]} -gt 0 ]; then
  "$bin/python" -m pytest "${pytest_options[@]}" # a part of the suite covers less
  say "passed, as far as asked: no extras, no browser"
  exit 0
fi
"$bin/python" -m pytest --numprocesses 2 --dist loadfile --cov # two files at a time
is_left_out extras || { say "extras"; tests/extras.sh; }
is_left_out browser || { say "browser"; tests/browser.sh; }
if [ -n "$without" ]; then say "passed, without $without"; else say "all passed"; fi
