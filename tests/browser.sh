#!/usr/bin/env bash
# Open the listening page in headless Chromium, at the width of a desk and of a phone.
set -euo pipefail

browser="${BROWSER:-}" # Chromium or a relative of it; default: the first that is found, or Debian's

usage() {
  cat <<EOF
usage: tests/browser.sh [--browser PATH] [-- PYTEST_OPTION ...]

Sets up .venv with the extras dev and browser, and runs tests/pipelines/browser: the page loads
without an error, the players play, switching keeps the position, at 1280 and 390 pixels. Where no
browser is found, Debian's chromium-headless-shell is installed, which needs root.

  --browser PATH  Chromium, or the headless shell (now: ${browser:-the first that is found})
EOF
}

pytest_options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --browser) browser="${2:?--browser needs a value}"; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    --) shift; pytest_options=("$@"); break ;;
    *) printf 'tests/browser.sh: unknown option %s; see --help\n' "$1" >&2; exit 2 ;;
  esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf '%s  %s\n' "$(date '+%H:%M:%S')" "$*"; }

find_browser() { command -v chromium-headless-shell chromium chromium-browser google-chrome | head -n 1; }

say "set-up"
./setup.sh --extras dev,browser
[ -n "$browser" ] || browser=$(find_browser) || true
if [ -z "$browser" ]; then
  say "installing chromium-headless-shell"
  { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium-headless-shell; } >/dev/null
  browser=$(find_browser)
fi
say "browser: $browser"
BROWSER="$browser" .venv/bin/python -m pytest tests/pipelines/browser "${pytest_options[@]}"
