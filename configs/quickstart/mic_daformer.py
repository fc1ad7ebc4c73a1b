# DAFormer with masked image consistency (MIC) on the toy pair: see daformer.py.
#
#   python run_experiments.py --exp 0
_base_ = ["daformer.py"]
# 70 % of the blocks of target images are hidden. A block is an eighth of the crop; the published sixteenth
# would be two cells of the finest feature map here.
uda = dict(masking=dict(mask_mode="separatetrgaug", mask_generator=dict(mask_ratio=0.7, mask_block_size=16)))
