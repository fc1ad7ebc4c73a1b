"""Make a checkpoint fit to be passed on: ``python tools/publish_model.py iter_40000.pth daformer.pth``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.publish_model import main

if __name__ == "__main__":
    sys.exit(main())
