"""How each material looks in the game and through the camera.

Both renderers paint the same world. The game is saturated and flat; the camera sees duller, differently
tinted colours with a texture. Hues and brightness shift, while shapes and neighbourhoods stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """Appearance of a material to the camera.

    Args:
        colors: RGB of its variants.
        fine: Strength of the texture of about one pixel (relative, standard deviation).
        medium: Strength of the texture of some pixels.
        coarse: Strength of the texture of some ten pixels.
        glow: Brightness of its own at night, in [0, 1].
    """

    colors: tuple[Color, ...]
    fine: float = 0.02
    medium: float = 0.03
    coarse: float = 0.03
    glow: float = 0.0


_VIVID: tuple[Color, ...] = (
    (225, 45, 40),
    (30, 90, 225),
    (250, 215, 40),
    (245, 245, 245),
    (30, 165, 90),
    (235, 120, 25),
    (120, 50, 170),
    (40, 190, 215),
)
_DULL: tuple[Color, ...] = (
    (44, 46, 54),
    (70, 72, 80),
    (38, 50, 78),
    (120, 112, 104),
    (84, 52, 50),
    (60, 66, 52),
    (150, 146, 140),
    (96, 84, 66),
)

GAME: dict[str, tuple[Color, ...]] = {
    "sky": ((70, 150, 250),),
    "asphalt": ((92, 92, 104),),
    "marking": ((250, 250, 250),),
    "shadow": ((52, 52, 62),),
    "kerb": ((236, 228, 214),),
    "paving": ((214, 186, 170),),
    "grass": ((150, 214, 70),),
    "facade": ((226, 128, 96), (240, 204, 130), (204, 92, 82), (236, 226, 206), (196, 140, 180)),
    "plinth": ((150, 96, 84), (170, 140, 100), (130, 70, 66), (160, 150, 140), (130, 96, 124)),
    "roof edge": ((140, 60, 50), (120, 80, 60)),
    "window": ((90, 170, 225),),
    "lit window": ((110, 190, 235),),
    "door": ((110, 66, 40), (50, 90, 70), (150, 40, 40)),
    "wall": ((176, 152, 206), (150, 140, 196)),
    "wall top": ((110, 96, 140),),
    "fence": ((150, 104, 66),),
    "fence bar": ((216, 150, 84),),
    "pole": ((56, 60, 72),),
    "lamp": ((250, 245, 200),),
    "sign red": ((235, 30, 35),),
    "sign blue": ((25, 80, 235),),
    "sign yellow": ((252, 212, 20),),
    "sign white": ((252, 252, 252),),
    "signal case": ((26, 26, 28),),
    "signal off": ((70, 70, 72),),
    "signal green": ((30, 240, 110),),
    "signal amber": ((255, 190, 20),),
    "signal red": ((255, 40, 30),),
    "leaves": ((44, 160, 52), (66, 184, 60), (34, 138, 66)),
    "trunk": ((124, 74, 36),),
    "skin": ((255, 206, 172), (150, 96, 64)),
    "hair": ((60, 36, 20), (240, 206, 110), (20, 20, 22)),
    "shirt": _VIVID,
    "trousers": ((40, 70, 160), (30, 30, 40), (150, 120, 80)),
    "bag": ((140, 60, 30), (220, 40, 90)),
    "helmet": ((250, 250, 250), (230, 40, 40), (250, 210, 30)),
    "car paint": _VIVID,
    "glass": ((36, 56, 88),),
    "tyre": ((22, 22, 24),),
    "rim": ((200, 204, 212),),
    "bumper": ((40, 40, 46),),
    "plate": ((250, 246, 220),),
    "headlight": ((250, 250, 225),),
    "tail light": ((255, 30, 30),),
    "truck paint": ((240, 130, 20), (30, 120, 210), (210, 40, 40)),
    "cargo": ((246, 246, 246), (60, 150, 90), (60, 110, 200)),
    "cargo stripe": ((220, 60, 50), (250, 220, 60), (250, 250, 250)),
    "bus paint": ((250, 200, 10), (235, 60, 40)),
    "destination": ((255, 140, 20),),
    "train paint": ((205, 212, 224),),
    "train band": ((220, 30, 60), (20, 140, 110)),
    "train roof": ((120, 126, 140),),
    "spokes": ((150, 156, 164),),
    "bicycle frame": ((30, 180, 190), (230, 50, 120), (60, 60, 220)),
    "motorcycle paint": ((230, 30, 30), (30, 60, 200), (40, 160, 60)),
    "engine": ((120, 124, 132),),
    "bin": ((40, 110, 80), (110, 110, 120)),
    "bonnet": ((30, 30, 36),),
}

CAMERA: dict[str, Look] = {
    "sky": Look(((206, 212, 216),), 0.0, 0.0, 0.05),
    "asphalt": Look(((122, 116, 108),), 0.06, 0.04, 0.06),
    "marking": Look(((196, 190, 176),), 0.06, 0.10, 0.06),
    "shadow": Look(((56, 54, 52),), 0.05, 0.03, 0.03),
    "kerb": Look(((160, 154, 146),), 0.06, 0.05, 0.05),
    "paving": Look(((148, 134, 126), (134, 128, 126)), 0.06, 0.08, 0.05),
    "grass": Look(((122, 118, 66),), 0.14, 0.14, 0.10),
    "facade": Look(
        ((142, 122, 104), (166, 152, 132), (122, 104, 96), (176, 168, 156), (112, 92, 84)), 0.05, 0.06, 0.08
    ),
    "plinth": Look(((100, 90, 80), (116, 106, 96), (88, 80, 76)), 0.05, 0.08, 0.08),
    "roof edge": Look(((84, 70, 64), (70, 68, 70)), 0.04, 0.05, 0.05),
    "window": Look(((66, 72, 78),), 0.03, 0.20, 0.25),
    "lit window": Look(((78, 80, 80),), 0.03, 0.20, 0.25, glow=0.55),
    "door": Look(((70, 54, 44), (56, 62, 60), (84, 60, 56)), 0.04, 0.05, 0.05),
    "wall": Look(((126, 122, 118), (138, 128, 114)), 0.08, 0.14, 0.12),
    "wall top": Look(((92, 90, 88),), 0.06, 0.08, 0.08),
    "fence": Look(((78, 78, 66),), 0.10, 0.12, 0.08),
    "fence bar": Look(((134, 122, 108),), 0.05, 0.06, 0.06),
    "pole": Look(((104, 106, 104),), 0.03, 0.03, 0.06),
    "lamp": Look(((196, 194, 184),), glow=1.0),
    "sign red": Look(((172, 54, 52),), glow=0.12),
    "sign blue": Look(((44, 76, 140),), glow=0.12),
    "sign yellow": Look(((196, 164, 62),), glow=0.15),
    "sign white": Look(((206, 204, 198),), glow=0.2),
    "signal case": Look(((50, 50, 48),)),
    "signal off": Look(((66, 62, 60),)),
    "signal green": Look(((70, 200, 150),), glow=1.0),
    "signal amber": Look(((230, 170, 60),), glow=1.0),
    "signal red": Look(((226, 70, 56),), glow=1.0),
    "leaves": Look(((66, 72, 40), (84, 84, 46), (56, 66, 46)), 0.18, 0.26, 0.14),
    "trunk": Look(((74, 62, 52),), 0.10, 0.12, 0.05),
    "skin": Look(((192, 152, 130), (110, 80, 64))),
    "hair": Look(((50, 40, 34), (140, 116, 84), (34, 32, 32))),
    "shirt": Look(_DULL, 0.04, 0.10, 0.05),
    "trousers": Look(((48, 52, 66), (40, 40, 42), (92, 82, 70)), 0.04, 0.08, 0.05),
    "bag": Look(((74, 52, 40), (90, 40, 48))),
    "helmet": Look(((196, 194, 190), (130, 50, 46), (60, 62, 66))),
    "car paint": Look(
        ((158, 160, 164), (38, 39, 44), (206, 206, 202), (92, 95, 100), (44, 58, 88), (112, 40, 40)),
        0.02,
        0.04,
        0.06,
    ),
    "glass": Look(((56, 62, 68),), 0.03, 0.12, 0.15),
    "tyre": Look(((38, 36, 35),)),
    "rim": Look(((140, 140, 140),), 0.05, 0.10, 0.0),
    "bumper": Look(((54, 54, 54),)),
    "plate": Look(((196, 192, 176),)),
    "headlight": Look(((212, 212, 206),), glow=1.0),
    "tail light": Look(((160, 44, 42),), glow=0.8),
    "truck paint": Look(((150, 96, 58), (70, 92, 124), (128, 60, 54))),
    "cargo": Look(((196, 194, 188), (92, 108, 92), (84, 98, 126)), 0.03, 0.04, 0.05),
    "cargo stripe": Look(((140, 70, 62), (180, 164, 96), (190, 186, 176)), 0.03, 0.04, 0.05),
    "bus paint": Look(((188, 160, 76), (150, 66, 56))),
    "destination": Look(((200, 130, 50),), glow=0.8),
    "train paint": Look(((168, 168, 164),), 0.03, 0.05, 0.05),
    "train band": Look(((134, 50, 58), (50, 98, 86)), 0.03, 0.05, 0.05),
    "train roof": Look(((96, 96, 98),), 0.04, 0.06, 0.05),
    "spokes": Look(((116, 112, 106),), 0.12, 0.10, 0.0),
    "bicycle frame": Look(((52, 96, 100), (124, 56, 70), (54, 54, 60))),
    "motorcycle paint": Look(((120, 40, 40), (50, 60, 96), (44, 46, 50))),
    "engine": Look(((92, 92, 92),), 0.10, 0.15, 0.0),
    "bin": Look(((62, 80, 70), (92, 92, 92)), 0.04, 0.06, 0.05),
    "bonnet": Look(((46, 48, 52),), 0.01, 0.02, 0.20),
}
