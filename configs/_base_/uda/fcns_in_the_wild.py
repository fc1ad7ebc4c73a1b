# FCNs in the Wild (Hoffman et al., 2016): global alignment of the last features. With uda.sizes, the
# sample_class_stats.json of the source, the sizes of the classes are constrained, too. Rates are those of a
# re-implementation: Adam of 1e-6 for the student, ten times that for the discriminator.
uda = dict(type="FCNsInTheWild", lambda_adv=1.0, lambda_sizes=0.1, ramp_iters=1200)
other_networks = dict(
    discriminator=dict(optim_wrapper=dict(optimizer=dict(type="Adam", lr=1e-5)), param_scheduler=[])
)
