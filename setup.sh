#!/usr/bin/env bash
# Make or refresh the project's own virtual environment, .venv; nothing is installed globally.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # started as: sh setup.sh
set -euo pipefail

extras="" # comma-separated extras of setup.cfg: dev, eval, export, hub, study, perceptual
python="" # interpreter to build with; default: the first of python3.13 .. python3.11, python3 that will do

usage() {
  cat <<EOF
usage: ./setup.sh [--extras LIST] [--python PYTHON]

Creates .venv with exactly the versions in constraints.txt. Quick when nothing is to do.

  --extras LIST    comma-separated extras of setup.cfg: dev, eval, export, hub, study, perceptual (now: '${extras}')
  --python PYTHON  interpreter, 3.11 or newer (now: the first that is found)
EOF
}

say() { printf '%s  %s\n' "$(date '+%H:%M:%S')" "$*"; }
fail() { printf 'setup.sh: %s\n' "$*" >&2; exit 2; }

while [ $# -gt 0 ]; do
  case "$1" in
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --extras) extras="${2:?--extras needs a value}"; shift 2 ;;
    --python) python="${2:?--python needs a value}"; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) fail "unknown option $1; see --help" ;;
  esac
done

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

# What was installed before stays: extras add up.
stamp=.venv/installed
known=""
[ -f "$stamp" ] && known=$(sed -n 's/^extras=//p' "$stamp")
extras=$(printf '%s,%s' "$known" "$extras" | tr ',' '\n' | sort -u | sed '/^$/d' | paste -sd, -)
wanted=$(printf 'extras=%s\nfolder=%s\n' "$extras" "$PWD"; cat setup.cfg pyproject.toml constraints.txt | sha256sum)
works() { .venv/bin/python -c '' 2>/dev/null; }
if [ -n "$python" ] && works; then
  say ".venv exists, so --python $python is not used: remove .venv to have it made anew"
fi
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && works && exit 0

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
if [ -z "$python" ]; then
  for candidate in python3 python3.13 python3.12 python3.11; do
    if new_enough "$candidate"; then python=$candidate; break; fi
  done
fi
[ -n "$python" ] || fail "no Python 3.11 or newer found; name one with --python"
new_enough "$python" || fail "$python is not Python 3.11 or newer"

if ! works; then
  say "creating .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv 2>/dev/null ||
    fail "$python cannot make a virtual environment (on Debian: apt-get install python3-venv)"
fi

say "installing packages${extras:+ with extras $extras}"
# A folder named as a local index but absent on this machine is no news to anyone.
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --constraint constraints.txt --editable ".${extras:+[$extras]}" 2>&1 |
  { grep -v "^WARNING: Location .* is ignored" || true; }

# torchaudio's wheel is built for CUDA; beside a CPU build of torch its compiled extension cannot be
# loaded. Without the files it runs, less rnnt_loss and forced_align, which we do not use.
if ! .venv/bin/python -c 'import torchaudio' 2>/dev/null; then
  if .venv/bin/python -c 'import sys, torch; sys.exit(torch.version.cuda is not None)'; then
    folder=$(.venv/bin/python -c 'import importlib.util as u; print(*u.find_spec("torchaudio").submodule_search_locations)')
    say "torch is a CPU build: removing torchaudio's CUDA extension from .venv"
    rm -f "$folder"/lib/*.so
  fi
  .venv/bin/python -c 'import torchaudio' || fail "torchaudio cannot be imported"
fi

printf '%s\n' "$wanted" >"$stamp"
say "environment ready: .venv"
