# Self-training on the labels of a round: ST, CBST (Zou et al., ECCV 2018), and CRST with soft labels (LRENT).
# Which labels there are is said by rounds.labeller.
uda = dict(type="SelfTraining")
