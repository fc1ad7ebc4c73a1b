# CLAN: two decoders of the same features, which learn by cross entropy, as in the paper. Rates as of
# adaptsegnet.py.
_base_ = ["adaptsegnet.py"]
model = dict(auxiliary_head=_base_.model.decode_head, sum_outputs=True)
uda = dict(
    _delete_=True,
    type="CLAN",
    lambda_adv=0.001,
    lambda_weight=0.01,
    lambda_local=40.0,
    epsilon=0.4,
    global_iters=60,  # 5000 of 100 000
)
