# DAFormer with masked image consistency (MIC): 70 % of the blocks of target images are hidden.
_base_ = ["daformer.py"]
uda = dict(masking=dict(mask_mode="separatetrgaug", mask_generator=dict(mask_ratio=0.7, mask_block_size=20)))
