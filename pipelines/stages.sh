# shellcheck shell=bash
# What the stage scripts share; sourced by run_teacher.sh and run_distill.sh, whose variables
# (recipe, stage, stop_stage, exp, dump, corpus, corpora, device, processes, ...) hold the options.
: "${recipe:?}" "${stage:?}" "${stop_stage:?}"

# The program's own folder. Paths given by the user are relative to the folder he or she is in.
root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")

say() { printf '%s  %s\n' "$(date '+%H:%M:%S')" "$*"; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 2; }

# need OPTION [VALUE]: refuse a value that is missing, empty or the next option.
need() {
  [ $# -ge 2 ] || fail "$1 needs a value"
  [ -n "$2" ] || fail "$1 is empty"
  [[ "$2" != --* ]] || fail "$1 needs a value, found $2"
}

# Set the variable named by an option.
set_option() {
  local name=${1#--} home=~ # $HOME, or the account's home if HOME is not set
  [[ "$name" =~ ^[a-z_]+$ ]] && declare -p "$name" >/dev/null 2>&1 &&
    [[ " recipe stage stop_stage exp dump corpus corpora device processes " == *" $name "* ]] ||
    fail "unknown option $1; see --help"
  need "$@"
  printf -v "$name" '%s' "${2/#\~\//$home/}" # shells expand no ~ in --exp=~/x
}

# Set the variables named by --option VALUE and --option=VALUE; collect --recipe.KEY in `overrides`.
parse_options() {
  while [ $# -gt 0 ]; do
    case "$1" in
      -h | --help) usage; exit 0 ;;
      --recipe.*=*) overrides+=("$1"); shift ;;
      --recipe.*) need "${@:1:2}"; overrides+=("$1" "$2"); shift 2 ;;
      --*=*) set_option "${1%%=*}" "${1#*=}"; shift ;;
      --*) set_option "${@:1:2}"; shift 2 ;;
      *) fail "unexpected word '$1'; see --help" ;;
    esac
  done
  local number name
  for number in "$stage" "$stop_stage"; do
    [[ "$number" =~ ^[0-9]+$ ]] || fail "stage '$number' is not a number"
  done
  [ "$stage" -le "$stop_stage" ] || fail "stage $stage comes after the last one, $stop_stage"
  name=$(recipe_name)
  exp=${exp:-$(own "exp/$name")}
  dump=${dump:-$(own "dump/$name")}
  corpora=${corpora:-$(own corpora)}
  # shellcheck disable=SC2034 # used by the scripts
  recipe_options=(--recipe "$recipe" "${overrides[@]}")
}

# The recipe's name, which names its folders: given as an option, in its file, or the file's own.
recipe_name() {
  local i file="$root/pipelines/recipes/$recipe.yaml" name=""
  [ -f "$file" ] || file=$recipe
  if [ -f "$file" ]; then
    name=$(sed -n '/^name: */{s///;s/ #.*//;s/ *$//;p;}' "$file" | tr -d "\"'")
  fi
  for ((i = 0; i < ${#overrides[@]}; i++)); do
    case "${overrides[i]}" in
      --recipe.name=*) name=${overrides[i]#*=} ;;
      --recipe.name) name=${overrides[i + 1]} ;;
    esac
  done
  echo "${name:-$(basename "$recipe" .yaml)}"
}

# own FOLDER: name a folder of the program's own from where the user is.
own() { if [ "$PWD" -ef "$root" ]; then echo "$1"; else echo "$root/$1"; fi; }

in_stages() { [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ]; }

# logged NAME COMMAND ...: run a command of the program, its output to the screen and to a log.
# tee -i: after Ctrl-C the command still says that it saved its state.
logged() {
  local log="$exp/logs/$1.log"
  shift
  mkdir -p "$exp/logs"
  "$root/.venv/bin/parallel-wavenet" "$@" 2>&1 | tee -ia "$log"
}
