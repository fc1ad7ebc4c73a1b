"""Write images in the look of the target: ``python tools/translate.py CONFIG CKPT --out DIR``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.translate import main

if __name__ == "__main__":
    sys.exit(main())
