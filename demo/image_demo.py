"""Segment your own images: ``python demo/image_demo.py IMG CONFIG CHECKPOINT``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
