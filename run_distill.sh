#!/usr/bin/env bash
# Distil a student: the whole pipeline, the teacher included when there is none yet.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # started as: sh run_distill.sh
set -euo pipefail

recipe=allison # a name in pipelines/recipes, or a YAML file
stage=0        # first stage to run
stop_stage=7   # last stage to run
exp=""         # results; default: exp/NAME
dump=""        # features; default: dump/NAME
corpus=""      # folder of audio files to use instead of the recipe's corpus
corpora=""     # where named corpora are kept; default: corpora
device=auto
processes=auto # that share the batches in training on a CPU: a number, or auto

usage() {
  cat <<EOF
usage: ./run_distill.sh [options] [--recipe.KEY VALUE ...]

Stages: 0 set-up, 1 corpus and features, 2 teacher (if there is none), 3 distil the student,
4 generate held-out utterances, 5 evaluate, 6 compare sampling speed, 7 listening page and summary.
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
  say "stage 2: teacher"
  # Stage 5 evaluates the teacher, too.
  "$root/run_teacher.sh" --stage 2 --stop_stage 2 --recipe "$recipe" --exp "$exp" --dump "$dump" \
    --device "$device" --processes "$processes" "${overrides[@]}"
fi
if in_stages 3; then
  say "stage 3: distil the student"
  logged distill distill "${recipe_options[@]}" --dump "$dump" --exp "$exp" --device "$device" \
    --processes "$processes"
fi
if in_stages 4; then
  say "stage 4: generate held-out utterances"
  logged excerpts excerpts --dump "$dump" --out "$exp/samples/recording"
  logged generate_student generate --model "$exp/student" --input "$exp/samples/recording" \
    --out "$exp/samples/student" --device "$device"
  logged generate_teacher generate --model "$exp/teacher" --input "$exp/samples/recording" \
    --out "$exp/samples/teacher" --device "$device"
fi
if in_stages 5; then
  say "stage 5: evaluate recording, Griffin-Lim, WORLD, teacher and student"
  logged evaluate evaluate --teacher "$exp/teacher" --student "$exp/student" --dump "$dump" \
    --out "$exp/evaluation" --device "$device"
fi
if in_stages 6; then
  say "stage 6: compare sampling speed"
  logged benchmark benchmark --teacher "$exp/teacher" --student "$exp/student" \
    --out "$exp/benchmark.json" --device "$device"
fi
if in_stages 7; then
  say "stage 7: listening page and summary"
  logged report report --exp "$exp"
  logged summary summarise --exp "$exp"
fi
