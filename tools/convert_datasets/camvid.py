"""Convert the labels of CamVid: python tools/convert_datasets/camvid.py data/camvid"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout, whatever mmseg is installed

from mmseg.commands.convert import main

if __name__ == "__main__":
    sys.exit(main(["camvid", *sys.argv[1:]]))
