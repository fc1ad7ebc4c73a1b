"""Label images with a trained network: ``python tools/label_target.py CONFIG CKPT --labeller TYPE``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.label_target import main

if __name__ == "__main__":
    sys.exit(main())
