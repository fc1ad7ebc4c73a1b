#!/bin/sh
# Test the last checkpoint of a run: sh test.sh RUN_DIR [options of tools/test.py]
# Prints the per-class table and writes trainId PNGs to RUN_DIR/preds. With --hrda-out LR, HR or ATT they go to
# RUN_DIR/preds_LR, preds_HR or preds_ATT, with --which teacher to preds_teacher.
set -eu

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
    echo "usage: sh test.sh RUN_DIR [options of tools/test.py]" >&2
    [ $# -lt 1 ] || echo "error: $1 is not a folder" >&2
    exit 2
fi
run_dir=${1%/}
shift
root=$(cd "$(dirname "$0")" && pwd)
if [ -z "${PYTHON:-}" ]; then
    PYTHON=$(command -v python || command -v python3)
    [ ! -x "$root/.venv/bin/python" ] || PYTHON="$root/.venv/bin/python"
fi
# The folder test.sh is started in may be another checkout; nothing is imported from it (-m would do so).
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONSAFEPATH=1

files=$("$PYTHON" "$root/mmseg/launch/run_dir.py" "$run_dir") || exit 1
config=$(printf '%s\n' "$files" | sed -n 1p)
checkpoint=$(printf '%s\n' "$files" | sed -n 2p)
preds="$run_dir/preds"
option=
for argument in "$@"; do
    case $argument in
        --*=*) option=${argument%%=*} value=${argument#*=} ;;
        *) value=$argument ;;
    esac
    case $option in
        --hrda-out | --which) [ "$value" = student ] || preds="${preds}_$value" ;;
        --show-dir) preds=$value ;;
    esac
    option=$argument
done
echo "Config File: $config"
echo "Checkpoint File: $checkpoint"
echo "Predictions Output Directory: $preds"
exec "$PYTHON" "$root/tools/test.py" "$config" "$checkpoint" --show-dir "$preds" --opacity 1 "$@"
