#!/usr/bin/env bash
# Train a teacher: set-up, corpus, features, training, held-out likelihood and free running.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # started as: sh run_teacher.sh
set -euo pipefail

recipe=allison # a name in pipelines/recipes, or a YAML file
stage=0        # first stage to run
stop_stage=3   # last stage to run
exp=""         # results; default: exp/NAME
dump=""        # features; default: dump/NAME
corpus=""      # folder of audio files to use instead of the recipe's corpus
corpora=""     # where named corpora are kept; default: corpora
device=auto
processes=auto # that share the batches in training on a CPU: a number, or auto

usage() {
  cat <<EOF
usage: ./run_teacher.sh [options] [--recipe.KEY VALUE ...]

Stages: 0 set-up, 1 corpus and features, 2 train the teacher, 3 held-out likelihood and free running.
What is done already is skipped; an interrupted stage resumes. Paths are relative to the folder you
are in; exp/, dump/ and corpora/ of the defaults lie beside this script.

  --recipe NAME|FILE  values of the run (now: $recipe)
  --stage N           first stage (now: $stage)
  --stop_stage N      last stage (now: $stop_stage)
  --exp DIR           results (now: ${exp:-exp/NAME})
  --dump DIR          features (now: ${dump:-dump/NAME})
  --corpus DIR        folder of audio files instead of the recipe's corpus
  --corpora DIR       where named corpora are kept (now: ${corpora:-corpora})
  --device NAME       auto, cpu or cuda (now: $device)
  --processes N       processes that share the batches in training on a CPU; auto for as many as
                      there are processors, if the run is worth it (now: $processes)
  --recipe.KEY VALUE  change one value of the recipe, e.g. --recipe.seed 2
EOF
}

overrides=()
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/pipelines/stages.sh"
parse_options "$@"

if in_stages 0; then
  say "stage 0: set-up"
  "$root/setup.sh"
fi
if in_stages 1; then
  say "stage 1: corpus and features"
  logged prepare prepare "${recipe_options[@]}" --corpora "$corpora" --dump "$dump" ${corpus:+--corpus "$corpus"}
fi
if in_stages 2; then
  say "stage 2: train the teacher"
  logged train_teacher train-teacher "${recipe_options[@]}" --dump "$dump" --exp "$exp" --device "$device" \
    --processes "$processes"
fi
if in_stages 3; then
  say "stage 3: held-out likelihood, and what the teacher draws"
  logged evaluate_teacher evaluate --teacher "$exp/teacher" --dump "$dump" --systems "[recording,teacher]" --device "$device"
fi
say "teacher: $exp/teacher"
