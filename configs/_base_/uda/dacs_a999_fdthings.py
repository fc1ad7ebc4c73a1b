# The self-training of DAFormer.
_base_ = ["dacs_fdthings.py"]
uda = dict(alpha=0.999)
