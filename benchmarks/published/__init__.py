"""The training step of DACS, HRDA and MIC in the order and with the operations of the published code.

It computes what ours computes, on the same weights with the same draws, and is here to be compared with: one
forward pass per image scale and loss, explicit attention, loops over images and parameters, values read back
by the host. Written from descriptions of the published behaviour; only the weights are those of our networks.
"""

from benchmarks.published.self_training import PublishedSelfTraining

__all__ = ["PublishedSelfTraining"]
