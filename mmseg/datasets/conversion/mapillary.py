"""Mapillary Vistas v1.2 (Neuhold et al., 2017): palette PNGs of 66 ids, merged to the classes of Cityscapes.

A Mapillary class is merged where it is clearly one of the 19 classes in the Cityscapes definition; everything
else is 255 and counts neither in training nor in evaluation:

- The curb belongs to the sidewalk; general lane markings and manhole covers belong to the road.
- All three kinds of riders are riders; plain and utility poles are poles; vehicles on rails are trains.
- Ignored although related: ground that Cityscapes assigns case by case (crosswalk, bike lane, service lane,
  parking, pedestrian area, curb cut, pothole, sand), the back and the frame of traffic signs, street lights,
  guard rails, barriers, bridges, tunnels, caravans and trailers.
"""

from mmseg.datasets.conversion.label_conversion import (
    LabelConversion,
    LabelMap,
    lookup_table,
    read_indexed_png,
)

# The 66 classes in the order of their ids.
VISTAS_CLASSES = (
    "Bird", "Ground Animal", "Curb", "Fence", "Guard Rail", "Barrier", "Wall", "Bike Lane",
    "Crosswalk - Plain", "Curb Cut", "Parking", "Pedestrian Area", "Rail Track", "Road", "Service Lane",
    "Sidewalk", "Bridge", "Building", "Tunnel", "Person", "Bicyclist", "Motorcyclist", "Other Rider",
    "Lane Marking - Crosswalk", "Lane Marking - General", "Mountain", "Sand", "Sky", "Snow", "Terrain",
    "Vegetation", "Water", "Banner", "Bench", "Bike Rack", "Billboard", "Catch Basin", "CCTV Camera",
    "Fire Hydrant", "Junction Box", "Mailbox", "Manhole", "Phone Booth", "Pothole", "Street Light", "Pole",
    "Traffic Sign Frame", "Utility Pole", "Traffic Light", "Traffic Sign (Back)", "Traffic Sign (Front)",
    "Trash Can", "Bicycle", "Boat", "Bus", "Car", "Caravan", "Motorcycle", "On Rails", "Other Vehicle",
    "Trailer", "Truck", "Wheeled Slow", "Car Mount", "Ego Vehicle", "Unlabeled",
)  # fmt: skip

CLASS_TO_TRAIN_ID = {
    "Road": 0,
    "Lane Marking - General": 0,
    "Manhole": 0,
    "Sidewalk": 1,
    "Curb": 1,
    "Building": 2,
    "Wall": 3,
    "Fence": 4,
    "Pole": 5,
    "Utility Pole": 5,
    "Traffic Light": 6,
    "Traffic Sign (Front)": 7,
    "Vegetation": 8,
    "Terrain": 9,
    "Sky": 10,
    "Person": 11,
    "Bicyclist": 12,
    "Motorcyclist": 12,
    "Other Rider": 12,
    "Car": 13,
    "Truck": 14,
    "Bus": 15,
    "On Rails": 16,
    "Motorcycle": 17,
    "Bicycle": 18,
}
ID_TO_TRAIN_ID = {VISTAS_CLASSES.index(name): train_id for name, train_id in CLASS_TO_TRAIN_ID.items()}
_TRAIN_IDS = lookup_table(ID_TO_TRAIN_ID)


def read_label(path: str) -> LabelMap:
    """Train ids of a raw Mapillary Vistas v1.2 label, shape (H, W)."""
    return _TRAIN_IDS.take(read_indexed_png(path))


MAPILLARY = LabelConversion(
    name="Mapillary Vistas v1.2",
    gt_dir="",
    label_folders=("training/labels", "validation/labels"),
    pattern=r"(?<!_labelTrainIds)\.png$",
    ending=".png",
    read=read_label,
    example="training/labels/KEY.png",
    remedy="download Mapillary Vistas v1.2 from https://www.mapillary.com/dataset/vistas and unpack it there",
    training_split="training",
)
