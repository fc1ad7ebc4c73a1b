"""What the values of a label map mean."""

NUM_LABEL_VALUES = 256
"""Labels are bytes: the classes from 0 on, and one value for pixels without a class."""
IGNORE_INDEX = 255
"""Label of pixels that belong to no class; they count neither in training nor in evaluation."""
