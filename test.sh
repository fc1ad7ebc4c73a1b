#!/bin/sh
# Test the last checkpoint of a run: sh test.sh RUN_DIR
# Prints the per-class table and writes trainId PNGs to RUN_DIR/preds. Further arguments go to tools/test.py.
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
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"

files=$("$PYTHON" -m mmseg.apis.run_dir "$run_dir") || exit 1
config=$(printf '%s\n' "$files" | sed -n 1p)
checkpoint=$(printf '%s\n' "$files" | sed -n 2p)
preds="$run_dir/preds"
echo "Config File: $config"
echo "Checkpoint File: $checkpoint"
echo "Predictions Output Directory: $preds"
exec "$PYTHON" -m tools.test "$config" "$checkpoint" --eval mIoU --show-dir "$preds" --opacity 1 "$@"
