# HRDA with masked image consistency (MIC) on the toy pair: see hrda.py and mic_daformer.py.
#
#   python run_experiments.py --exp 0
_base_ = ["hrda.py"]
uda = dict(masking=dict(mask_mode="separatetrgaug", mask_generator=dict(mask_ratio=0.7, mask_block_size=32)))
