#!/usr/bin/env bash
# Open the listening page in headless Chromium, at the width of a desk and of a phone.
set -euo pipefail

usage() {
  cat <<EOF
usage: tests/browser.sh [--browser PATH] [-- PYTEST_OPTION ...]

Sets up .venv with the extras dev and browser, and runs tests/pipelines/browser: the page loads
without an error, the players play, switching keeps the position, at 1280 and 390 pixels. Where no
browser is found, Debian's chromium-headless-shell is installed, which needs root.

  --browser PATH  Chromium, or the headless shell (now: ${BROWSER:-the first that is found})
EOF
}

pytest_options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --browser) BROWSER="${2:?--browser needs a value}"; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    --) shift; pytest_options=("$@"); break ;;
    *) printf 'tests/browser.sh: unknown option %s; see --help\n' "$1" >&2; exit 2 ;;
  esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/needs.sh
. tests/needs.sh
need_browser
say "set-up"
./setup.sh --extras dev,browser
say "browser: $BROWSER"
.venv/bin/python -m pytest tests/pipelines/browser "${pytest_options[@]}"
