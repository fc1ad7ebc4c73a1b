# UPerNet with 256 channels, the width of the DAFormer decoder (ablation of the DAFormer paper).
_base_ = ["upernet_mit.py"]
model = dict(decode_head=dict(channels=256))
