"""Decode and resize the training data once: ``python tools/prepare_data.py CONFIG``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.prepare_data import main

if __name__ == "__main__":
    sys.exit(main())
