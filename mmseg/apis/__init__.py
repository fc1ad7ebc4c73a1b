"""What other programs call."""

from mmseg.apis.inference import inference_segmentor, init_segmentor
from mmseg.apis.test import test
from mmseg.apis.train import train

__all__ = ["inference_segmentor", "init_segmentor", "test", "train"]
