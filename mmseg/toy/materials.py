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
    fine: float = 0.012
    medium: float = 0.018
    coarse: float = 0.018
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
    (116, 46, 48),
    (54, 79, 138),
    (123, 116, 63),
    (170, 165, 160),
    (62, 97, 66),
    (130, 88, 41),
    (138, 108, 152),
    (74, 126, 126),
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
    "sky": Look(((176, 200, 226),), 0.0, 0.0, 0.03),
    "asphalt": Look(((110, 106, 106),), 0.036, 0.024, 0.036),
    "marking": Look(((218, 214, 206),), 0.036, 0.06, 0.036),
    "shadow": Look(((54, 53, 56),), 0.03, 0.018, 0.018),
    "kerb": Look(((190, 184, 173),), 0.036, 0.03, 0.03),
    "paving": Look(((174, 155, 144), (166, 151, 144)), 0.036, 0.048, 0.03),
    "grass": Look(((133, 156, 68),), 0.084, 0.084, 0.06),
    "facade": Look(
        ((176, 124, 101), (196, 173, 131), (155, 99, 90), (200, 191, 176), (146, 111, 122)),
        0.03,
        0.036,
        0.048,
    ),
    "plinth": Look(((120, 92, 82), (122, 92, 84), (105, 86, 95)), 0.03, 0.048, 0.048),
    "roof edge": Look(((106, 66, 58), (90, 73, 66)), 0.024, 0.03, 0.03),
    "window": Look(((76, 111, 137),), 0.018, 0.12, 0.15),
    "lit window": Look(((91, 124, 142),), 0.018, 0.12, 0.15, glow=0.55),
    "door": Look(((86, 59, 42), (54, 73, 64), (110, 52, 50)), 0.024, 0.03, 0.03),
    "wall": Look(((146, 134, 153), (143, 133, 147)), 0.048, 0.084, 0.072),
    "wall top": Look(((99, 92, 109),), 0.036, 0.048, 0.048),
    "fence": Look(((107, 88, 66),), 0.06, 0.072, 0.048),
    "fence bar": Look(((167, 133, 98),), 0.03, 0.036, 0.036),
    "pole": Look(((85, 88, 91),), 0.018, 0.018, 0.036),
    "lamp": Look(((218, 214, 190),), glow=1.0),
    "sign red": Look(((197, 44, 45),), glow=0.12),
    "sign blue": Look(((36, 78, 178),), glow=0.12),
    "sign yellow": Look(((218, 183, 45),), glow=0.15),
    "sign white": Look(((224, 223, 220),), glow=0.2),
    "signal case": Look(((40, 40, 40),)),
    "signal off": Look(((68, 65, 65),)),
    "signal green": Look(((54, 216, 134),), glow=1.0),
    "signal amber": Look(((240, 178, 44),), glow=1.0),
    "signal red": Look(((238, 58, 46),), glow=1.0),
    "leaves": Look(((57, 107, 45), (77, 124, 52), (47, 95, 54)), 0.108, 0.156, 0.084),
    "trunk": Look(((94, 67, 46),), 0.06, 0.072, 0.03),
    "skin": Look(((217, 174, 147), (126, 86, 64))),
    "hair": Look(((54, 38, 28), (180, 152, 94), (28, 27, 28))),
    "shirt": Look(_DULL, 0.024, 0.06, 0.03),
    "trousers": Look(((45, 59, 104), (36, 36, 41), (115, 97, 74)), 0.024, 0.048, 0.03),
    "bag": Look(((100, 55, 36), (142, 40, 65))),
    "helmet": Look(((218, 216, 214), (170, 46, 44), (136, 121, 52))),
    "car paint": Look(
        ((185, 114, 114), (123, 109, 42), (222, 222, 219), (67, 123, 96), (74, 55, 121), (83, 100, 110)),
        0.012,
        0.024,
        0.036,
    ),
    "glass": Look(((48, 60, 76),), 0.018, 0.072, 0.09),
    "tyre": Look(((32, 30, 31),)),
    "rim": Look(((164, 166, 169),), 0.03, 0.06, 0.0),
    "bumper": Look(((48, 48, 51),)),
    "plate": Look(((218, 214, 194),)),
    "headlight": Look(((227, 227, 214),), glow=1.0),
    "tail light": Look(((198, 38, 37),), glow=0.8),
    "truck paint": Look(((186, 110, 43), (54, 103, 158), (161, 52, 48))),
    "cargo": Look(((216, 215, 211), (79, 125, 91), (74, 103, 156)), 0.018, 0.024, 0.03),
    "cargo stripe": Look(((172, 66, 57), (208, 186, 82), (214, 212, 206)), 0.018, 0.024, 0.03),
    "bus paint": Look(((213, 176, 50), (184, 64, 50))),
    "destination": Look(((222, 134, 38),), glow=0.8),
    "train paint": Look(((183, 186, 188),), 0.018, 0.03, 0.03),
    "train band": Look(((168, 42, 59), (38, 115, 96)), 0.018, 0.03, 0.03),
    "train roof": Look(((106, 108, 115),), 0.024, 0.036, 0.03),
    "spokes": Look(((130, 130, 129),), 0.072, 0.06, 0.0),
    "bicycle frame": Look(((43, 130, 136), (166, 54, 90), (56, 56, 124))),
    "motorcycle paint": Look(((164, 36, 36), (42, 60, 138), (42, 92, 54))),
    "engine": Look(((103, 105, 108),), 0.06, 0.09, 0.0),
    "bin": Look(((53, 92, 74), (99, 99, 103)), 0.024, 0.036, 0.03),
    "bonnet": Look(((40, 41, 46),), 0.006, 0.012, 0.12),
}
