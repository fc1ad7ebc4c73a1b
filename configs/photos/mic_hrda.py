# HRDA with masked image consistency (MIC).
_base_ = ["hrda.py"]
uda = dict(masking=dict(mask_mode="separatetrgaug", mask_generator=dict(mask_ratio=0.7, mask_block_size=20)))
