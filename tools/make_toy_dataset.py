"""Write toy street scenes in the layouts of real data sets: ``python tools/make_toy_dataset.py data/toy``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.make_toy_dataset import main

if __name__ == "__main__":
    sys.exit(main())
