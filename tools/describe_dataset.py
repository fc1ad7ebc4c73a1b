"""Look at a folder and write a data set config for it: ``python tools/describe_dataset.py ROOT``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.describe_dataset import main

if __name__ == "__main__":
    sys.exit(main())
