"""Test a checkpoint: ``python tools/test.py CONFIG CHECKPOINT --eval mIoU --show-dir preds``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.test import main

if __name__ == "__main__":
    sys.exit(main())
