# Supervised training in the frame of DACS: without teacher and mixing, so that masking can be added to it.
_base_ = ["dacs.py"]
uda = dict(source_only=True)
