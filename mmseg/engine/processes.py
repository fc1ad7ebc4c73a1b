"""What several processes of one run have to have in common."""

from mmengine.dist import all_reduce_params, broadcast, get_world_size
from torch import nn


def broadcast_state(model: nn.Module) -> None:
    """Give all processes the parameters and buffers of the first."""
    for tensor in (*model.parameters(), *model.buffers()):
        broadcast(tensor.data, src=0)


def average_buffers(model: nn.Module) -> None:
    """Average the running statistics of batch normalisation, which every process collects on its own data.

    All processes have to call it together, right before the model is tested or stored.
    """
    if get_world_size() > 1:
        all_reduce_params([buffer for buffer in model.buffers() if buffer.is_floating_point()], op="mean")
