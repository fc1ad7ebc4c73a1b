# DAFormer on the toy pair: DACS self-training, rare class sampling and feature distance, started from the
# source-only weights.
#
#   python tools/train.py configs/quickstart/daformer.py --load-from CKPT --cfg-options model.pretrained=CKPT
#
# with CKPT the last checkpoint of configs/quickstart/source_only.py; see dacs_fd.py for model.pretrained.
_base_ = ["dacs_fd.py"]
train_dataloader = dict(
    dataset=dict(rare_class_sampling=dict(min_pixels=200, class_temp=0.01, min_crop_ratio=0.5))
)
