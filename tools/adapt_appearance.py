"""Images of the source in the style of the target: ``python tools/adapt_appearance.py SOURCE TARGET OUT``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.commands.adapt_appearance import main

if __name__ == "__main__":
    sys.exit(main())
