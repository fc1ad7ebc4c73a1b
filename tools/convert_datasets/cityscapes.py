"""Convert the labels of Cityscapes: python tools/convert_datasets/cityscapes.py data/cityscapes"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout, whatever mmseg is installed

from mmseg.datasets.conversion import CITYSCAPES, convert_cityscapes, run_converter

if __name__ == "__main__":
    sys.exit(run_converter(CITYSCAPES, convert_cityscapes))
