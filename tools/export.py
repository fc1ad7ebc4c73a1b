"""Write a trained network as ONNX or PyTorch program: ``python tools/export.py CONFIG CHECKPOINT``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.export import main

if __name__ == "__main__":
    sys.exit(main())
