"""Convert the labels of Synthia: python tools/convert_datasets/synthia.py data/synthia"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout, whatever mmseg is installed

from mmseg.datasets.conversion import SYNTHIA, convert_synthia, run_converter

if __name__ == "__main__":
    sys.exit(run_converter(SYNTHIA, convert_synthia))
