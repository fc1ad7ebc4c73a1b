"""Scores of finished runs: ``python tools/results_table.py RUN_DIR ...``, or ``--exp ID ...``."""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from experiments import EXPERIMENTS
from mmseg.commands import results

main = partial(results.main, experiments=EXPERIMENTS)

if __name__ == "__main__":
    sys.exit(main())
