"""Convert the labels of Mapillary Vistas v1.2: python tools/convert_datasets/mapillary.py data/mapillary"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout, whatever mmseg is installed

from mmseg.commands.convert import main

if __name__ == "__main__":
    sys.exit(main(["mapillary", *sys.argv[1:]]))
