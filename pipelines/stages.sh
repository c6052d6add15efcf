# shellcheck shell=bash
# What the stage scripts share; sourced by run_teacher.sh and run_distill.sh, whose variables
# (recipe, stage, stop_stage, exp, dump, corpus, corpora, device, ...) hold the options.
: "${recipe:?}" "${stage:?}" "${stop_stage:?}"

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

say() { printf '%s  %s\n' "$(date '+%H:%M:%S')" "$*"; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 2; }

# Set the variable named by each --option VALUE; collect --recipe.KEY VALUE in `overrides`.
parse_options() {
  local name
  while [ $# -gt 0 ]; do
    case "$1" in
      -h | --help) usage; exit 0 ;;
      --recipe.*)
        [ $# -ge 2 ] || fail "$1 needs a value"
        overrides+=("$1" "$2"); shift 2 ;;
      --*)
        name=${1#--}
        [[ "$name" =~ ^[a-z_]+$ ]] && declare -p "$name" >/dev/null 2>&1 &&
          [[ " recipe stage stop_stage exp dump corpus corpora device teacher_seconds " == *" $name "* ]] ||
          fail "unknown option $1; see --help"
        [ $# -ge 2 ] || fail "$1 needs a value"
        printf -v "$name" '%s' "$2"; shift 2 ;;
      *) fail "unexpected word '$1'; see --help" ;;
    esac
  done
  local number
  for number in "$stage" "$stop_stage"; do
    [[ "$number" =~ ^[0-9]+$ ]] || fail "stage '$number' is not a number"
  done
  name=$(basename "$recipe" .yaml)
  exp=${exp:-exp/$name}
  dump=${dump:-dump/$name}
  # shellcheck disable=SC2034 # used by the scripts
  recipe_options=(--recipe "$recipe" "${overrides[@]}")
}

in_stages() { [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ]; }

# logged NAME COMMAND ...: run a command of the program, its output to the screen and to a log.
# tee -i: after Ctrl-C the command still says that it saved its state.
logged() {
  local log="$exp/logs/$1.log"
  shift
  mkdir -p "$exp/logs"
  .venv/bin/parallel-wavenet "$@" 2>&1 | tee -ia "$log"
}
