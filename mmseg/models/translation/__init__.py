"""Networks and operations that change how an image looks."""

from mmseg.models.translation.style import AppearanceAdaptation

__all__ = ["AppearanceAdaptation"]
