# DAFormer: AdamW with ten times the rate for the decode head and no weight decay on the encoder's norms.
_base_ = ["adamw.py"]
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(head=dict(lr_mult=10.0), pos_block=dict(decay_mult=0.0), norm=dict(decay_mult=0.0))
    )
)
