# A control: rare class sampling and the colour distortion, without adaptation.
_base_ = ["dacs_rcs.py"]
uda = dict(_delete_=True, type="SourceOnly")
train_dataloader = dict(dataset=dict(source=_base_.source_train))
