"""Convert the labels of GTA: python tools/convert_datasets/gta.py data/gta"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout, whatever mmseg is installed

from mmseg.commands.convert import main

if __name__ == "__main__":
    sys.exit(main(["gta", *sys.argv[1:]]))
