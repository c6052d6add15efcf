#!/usr/bin/env bash
# Open the listening page and the demo page in headless Chromium, as wide as a desk and a phone.
set -euo pipefail

usage() {
  cat <<EOF
usage: tests/browser.sh [--browser PATH] [-- PYTEST_OPTION ...]

Sets up .venv with the extras dev, browser and export, and runs tests/pipelines/browser at 1280 and
390 pixels. The listening page: it loads without an error, the players play, switching keeps the
position. The demo page: a student in the browser draws a file, and what the microphone hears, as
Python does. Where no browser or no npm is found, Debian's chromium-headless-shell and npm are
installed, which needs root.

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
need_npm
say "set-up"
./setup.sh --extras dev,browser,export
say "browser: $BROWSER"
.venv/bin/python -m pytest tests/pipelines/browser "${pytest_options[@]}"
