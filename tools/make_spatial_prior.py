"""Count where classes lie, for CBST: ``python tools/make_spatial_prior.py CONFIG OUT.npz``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.make_spatial_prior import main

if __name__ == "__main__":
    sys.exit(main())
