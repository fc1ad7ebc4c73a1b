"""Interlaced sparse self-attention (Huang et al., arXiv:1907.12273)."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.layers.conv import ConvBlock


class SelfAttentionBlock(nn.Module):
    """Attention of one head inside groups of pixels.

    Keys and queries come from 1×1 convolutions with norm and activation, values from a plain one. All
    projections act on single pixels, so that they are applied before the pixels are grouped.

    Args:
        channels: Channels of input, values and output.
        key_channels: Channels of keys and queries.
        key_query_num_convs: Number of convolutions in front of keys and queries.
        norm_cfg: Normalisation of the projections.
        act_cfg: Activation of the projections.
    """

    def __init__(
        self,
        channels: int,
        key_channels: int,
        key_query_num_convs: int,
        norm_cfg: dict | None,
        act_cfg: dict | None,
    ) -> None:
        super().__init__()

        def project(out_channels: int, num_convs: int) -> nn.Module:
            widths = [channels] + num_convs * [out_channels]
            convs = [
                ConvBlock(before, after, norm_cfg=norm_cfg, act_cfg=act_cfg)
                for before, after in pairwise(widths)
            ]
            return convs[0] if num_convs == 1 else nn.Sequential(*convs)

        self.key_project = project(key_channels, key_query_num_convs)
        self.query_project = project(key_channels, key_query_num_convs)
        self.value_project = nn.Conv2d(channels, channels, 1)
        self.output_project = project(channels, 1)

    def forward(self, feature_map: Tensor, cells: tuple[int, int], strided: bool) -> Tensor:
        """Attend among the pixels of one group.

        Args:
            feature_map: (B, C, H, W), H and W multiples of the cells.
            cells: Height and width (h, w) of a cell.
            strided: A group holds the pixels at the same place in all cells (long range) instead of those of
                one cell.
        """
        height, width = feature_map.shape[2:]
        rows, columns = height // cells[0], width // cells[1]
        # From (B, C, rows, h, columns, w) to (B, groups, members of a group, C), middle axes not yet merged.
        order = (0, 3, 5, 2, 4, 1) if strided else (0, 2, 4, 3, 5, 1)

        def group(projected: Tensor) -> Tensor:
            split = projected.unflatten(3, (columns, cells[1])).unflatten(2, (rows, cells[0]))
            return split.permute(order).flatten(3, 4).flatten(1, 2)

        attended = F.scaled_dot_product_attention(
            group(self.query_project(feature_map)),
            group(self.key_project(feature_map)),
            group(self.value_project(feature_map)),
        )
        groups, members = (cells, (rows, columns)) if strided else ((rows, columns), cells)
        attended = attended.unflatten(2, members).unflatten(1, groups)
        inverse = [order.index(axis) for axis in range(6)]
        return self.output_project(attended.permute(inverse).flatten(4, 5).flatten(2, 3))


def interlaced_attention(
    feature_map: Tensor,
    cells: tuple[int, int],
    global_relation: SelfAttentionBlock,
    local_relation: SelfAttentionBlock,
) -> Tensor:
    """Attention over all pixels as two sparse steps: first across cells of the image, then inside each cell.

    Args:
        feature_map: (B, C, H, W); its borders are padded with zeros to whole cells.
        cells: Height and width of a cell in pixels.
        global_relation: Attention among pixels at the same place in their cells.
        local_relation: Attention among the pixels of a cell.

    Returns:
        (B, C, H, W).
    """
    height, width = feature_map.shape[2:]
    pad_height, pad_width = -height % cells[0], -width % cells[1]
    top, left = pad_height // 2, pad_width // 2
    padded = F.pad(feature_map, (left, pad_width - left, top, pad_height - top))
    padded = local_relation(global_relation(padded, cells, strided=True), cells, strided=False)
    return padded[:, :, top : top + height, left : left + width]


class ISALayer(nn.Module):
    """1×1 convolution, then interlaced sparse attention.

    Args:
        in_channels: Input channels.
        channels: Output channels.
        isa_channels: Channels of keys and queries.
        down_factor: Height and width of a cell in pixels.
        key_query_num_convs: Number of convolutions in front of keys and queries.
        norm_cfg: Normalisation of the projections.
        act_cfg: Activation of the projections.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        isa_channels: int,
        down_factor: tuple[int, int],
        key_query_num_convs: int,
        norm_cfg: dict | None,
        act_cfg: dict | None,
    ) -> None:
        super().__init__()
        self.cells = (down_factor[0], down_factor[1])
        self.in_conv = ConvBlock(in_channels, channels, norm_cfg=norm_cfg, act_cfg=act_cfg)
        attention = (channels, isa_channels, key_query_num_convs, norm_cfg, act_cfg)
        self.global_relation = SelfAttentionBlock(*attention)
        self.local_relation = SelfAttentionBlock(*attention)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, channels, h, w)."""
        return interlaced_attention(
            self.in_conv(feature_map), self.cells, self.global_relation, self.local_relation
        )
