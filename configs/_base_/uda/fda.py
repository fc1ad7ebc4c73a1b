# FDA (Yang, Soatto, CVPR 2020): low frequencies and entropy of the target. Three networks with beta 0.01,
# 0.05 and 0.09 predict together in the paper (`tools/test.py --ensemble`).
uda = dict(
    type="FDA",
    translator=dict(type="FDA", beta=0.01),
    lambda_ent_target=0.005,
    exponent=2.0,
    largest_entropy=2.9444,  # log 19, as published
)
