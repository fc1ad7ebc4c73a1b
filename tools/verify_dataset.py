"""Check the data of a config: ``python tools/verify_dataset.py CONFIG``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.verify_dataset import main

if __name__ == "__main__":
    sys.exit(main())
