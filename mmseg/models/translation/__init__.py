"""Networks and operations that change how an image looks."""

from mmseg.models.translation.fourier import FourierTranslator
from mmseg.models.translation.generator_translator import GeneratorTranslator
from mmseg.models.translation.generators import ResnetGenerator, UNetGenerator
from mmseg.models.translation.image_classifier import DigitClassifier
from mmseg.models.translation.image_discriminators import ColourDiscriminator, PatchDiscriminator
from mmseg.models.translation.image_pool import ImagePool
from mmseg.models.translation.style import AppearanceAdaptation

__all__ = [
    "AppearanceAdaptation",
    "ColourDiscriminator",
    "DigitClassifier",
    "FourierTranslator",
    "GeneratorTranslator",
    "ImagePool",
    "PatchDiscriminator",
    "ResnetGenerator",
    "UNetGenerator",
]
