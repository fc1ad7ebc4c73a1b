"""Convert the labels of Mapillary Vistas v1.2: python tools/convert_datasets/mapillary.py data/mapillary"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout, whatever mmseg is installed

from mmseg.datasets.conversion import MAPILLARY, convert_mapillary, run_converter

if __name__ == "__main__":
    sys.exit(run_converter(MAPILLARY, convert_mapillary))
