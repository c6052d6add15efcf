# shellcheck shell=bash
# Sourced: what tests need beside Python's packages, installed from Debian's where it is missing.

say() { printf '%s  %s\n' "$(date '+%H:%M:%S')" "$*"; }

# install_for WHAT PACKAGE ...: ends the script with a line where that cannot be done.
install_for() {
  local what="$1"
  shift
  local script
  script=$(basename "$0")
  if ! command -v apt-get >/dev/null; then
    printf 'tests/%s: there is no %s, and no apt-get to install it with: install it (Debian calls it %s), or leave out what needs it (tests/run.sh --help)\n' \
      "$script" "$what" "$*" >&2
    exit 2
  fi
  if [ "$(id -u)" -ne 0 ]; then
    printf 'tests/%s: there is no %s, and installing it needs root: apt-get install %s\n' "$script" "$what" "$*" >&2
    exit 2
  fi
  say "installing $*"
  if ! { apt-get update -qq && apt-get install -qq -y --no-install-recommends "$@"; } >/dev/null; then
    printf 'tests/%s: there is no %s, and apt-get cannot install %s; what it says is above\n' "$script" "$what" "$*" >&2
    exit 2
  fi
}

find_browser() {
  command -v chromium-headless-shell chromium chromium-browser google-chrome | head -n 1 || true
}

# need_browser: sets BROWSER unless it is set.
need_browser() {
  if [ -n "${BROWSER:-}" ] && ! command -v "$BROWSER" >/dev/null; then
    printf 'tests/%s: browser %s cannot be run\n' "$(basename "$0")" "$BROWSER" >&2
    exit 2
  fi
  BROWSER="${BROWSER:-$(find_browser)}"
  if [ -z "$BROWSER" ]; then
    install_for "browser" chromium-headless-shell
    BROWSER=$(find_browser)
  fi
  export BROWSER
}

# need_npm: fetches the browsers' runtime for the page that `parallel-wavenet demo` makes.
need_npm() { command -v npm >/dev/null || install_for "npm" npm; }

# need_compiler PYTHON: for PESQ and WORLD, which come as sources.
need_compiler() {
  "$1" -c 'import pesq, pyworld' 2>/dev/null && return
  command -v c++ >/dev/null || install_for "C++ compiler" g++
  "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
    install_for "header Python.h" python3-dev
}
