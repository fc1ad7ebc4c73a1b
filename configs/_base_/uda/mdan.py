# MDAN (Zhao et al., NeurIPS 2018): images of each source in a sample, so
# train_dataloader.dataset.mode="joint". mu and gamma are those of the published code; bound="soft" is its
# other way, task="sum" what the published code for segmentation (MADAN, NeurIPS 2019) makes of it.
uda = dict(type="MDAN", num_sources=2, bound="hard", mu=0.01, gamma=10.0, task="each")
