# Direct entropy minimisation (ADVENT: Vu et al., CVPR 2019, sec. 3.1).
uda = dict(type="MinEnt", lambda_ent_target=dict(main=0.001, aux=0.0002))
