"""One iteration of self-training in the published order."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.drop import DropPath
from mmengine.config import Config
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from benchmarks.published.augmentation import augment, class_masks, mix
from benchmarks.published.draws import Draws
from benchmarks.published.hrda import PublishedHRDA
from benchmarks.published.segmentor import IGNORE, Losses, PublishedSegmentor
from mmseg.engine.optimizer_constructor import multipliers
from mmseg.models.segmentors import EncoderDecoder, HRDAEncoderDecoder
from mmseg.models.uda import DACS


def as_published(model: EncoderDecoder) -> PublishedSegmentor:
    """The network, computed as published."""
    return PublishedHRDA(model) if isinstance(model, HRDAEncoderDecoder) else PublishedSegmentor(model)


class PublishedSelfTraining:
    """The iteration of DACS with DAFormer's feature distance, for MIC with masked images.

    Args:
        method: Holds networks and settings.
        cfg: Config of the run; its optimizer gets one parameter group per tensor of all networks.
    """

    def __init__(self, method: DACS, cfg: Config) -> None:
        assert method.teacher.pseudo_threshold is not None
        self.method, self.settings, self.threshold = method, method.teacher, method.teacher.pseudo_threshold
        self.student, self.teacher, self.imnet = (
            as_published(network) for network in (method.model, method.ema_model, method.imnet_model)
        )
        for own, layer in zip(method.ema_model.modules(), method.model.modules(), strict=True):
            for rate in ("p", "drop_prob"):  # the published teacher keeps them and switches the layers off
                if hasattr(layer, rate):
                    setattr(own, rate, getattr(layer, rate))
        self.optimizer = optimizer_of_all(method, cfg)

    def train_step(self, data: Mapping[str, Tensor], draws: Draws) -> dict[str, float]:
        """Losses and accuracies by name.

        Args:
            data: Normalised float32 images, int64 labels.
            draws: What is random in this iteration.
        """
        device = self.method.data_preprocessor.mean.device
        data = {key: value.to(device, non_blocking=True) for key, value in data.items()}
        self.optimizer.zero_grad()
        self.update_teacher()
        total, log, features = self.source(data)
        self.backward_source(total)
        distance, values = self.feature_distance(data, features)
        self.backward_distance(distance)
        log |= values
        label, weight = self.pseudo_label(data)
        img, mixed_label, mixed_weight = self.mix(data, label, weight, draws)
        total, values = self.mixed(img, mixed_label, mixed_weight)
        self.backward_mixed(total)
        log |= values
        if draws.masked is not None:
            img = self.mask(data, draws)
            total, values = self.masked(img, label, weight)
            self.backward_masked(total)
            log |= values
        self.step()
        self.method.iteration += 1
        return log

    # ------------------------------------------------------------------------------------------- passes

    def source(self, data: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float], list[Tensor]]:
        """Cross entropy on source images; the features are kept."""
        losses, features = self.student.forward_train(data["img"], data["gt_semantic_seg"])
        return *parse(losses), features

    def feature_distance(
        self, data: Mapping[str, Tensor], features: list[Tensor]
    ) -> tuple[Tensor, dict[str, float]]:
        """Distance to the ImageNet features where a thing class dominates."""
        self.imnet.model.eval()
        with torch.no_grad():
            reference = self.imnet.extract_feat(data["img"])[-1].detach()
        label = data["gt_semantic_seg"]
        small = downscale_label_ratio(
            label,
            label.shape[-1] // reference.shape[-1],
            self.method.feature_distance.imnet_feature_dist_scale_min_ratio,
            self.method.model.num_classes,
        )
        classes = torch.tensor(self.method.feature_distance.imnet_feature_dist_classes, device=label.device)
        chosen = (small[..., None] == classes).any(dim=-1)
        distance = torch.norm(features[-1] - reference, dim=1, p=2)[chosen].mean()
        weight = self.method.feature_distance.imnet_feature_dist_lambda
        return parse({"src.loss_imnet_feat_dist": weight * distance})

    def pseudo_label(self, data: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Labels of target images and weights of their pixels."""
        for module in self.teacher.model.modules():
            if isinstance(module, _DropoutNd | DropPath):
                module.training = False
        logits = self.teacher.encode_decode(data["target_img"])
        probability, label = torch.softmax(logits.detach(), dim=1).max(dim=1)
        confident = probability.ge(self.threshold).long() == 1
        pixels = label.cpu().numpy().size
        weight = confident.sum().item() / pixels * torch.ones(probability.shape, device=label.device)
        if self.settings.ignore_top or self.settings.ignore_bottom:
            weight[:, : self.settings.ignore_top] = 0
            weight[:, weight.shape[1] - self.settings.ignore_bottom :] = 0
        if "valid_pseudo_mask" in data:
            weight = weight * data["valid_pseudo_mask"]
        return label, weight

    def mix(
        self, data: Mapping[str, Tensor], label: Tensor, weight: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Source classes pasted onto target images, one image after the other."""
        images, labels, weights = [], [], []
        source_weight = torch.ones_like(weight)
        for index, mask in enumerate(class_masks(data["gt_semantic_seg"], draws.classes)):
            images.append(mix(mask, data["img"][index], data["target_img"][index]))
            labels.append(mix(mask, data["gt_semantic_seg"][index][None], label[index][None])[0])
            weights.append(mix(mask, source_weight[index][None], weight[index][None])[0])
        img = augment(torch.cat(images), draws.mixed, self.method.data_preprocessor)
        return img, torch.cat(labels), torch.cat(weights)

    def mixed(self, img: Tensor, label: Tensor, weight: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy on mixed images."""
        return parse(self.student.forward_train(img, label, weight)[0], "mix.")

    def mask(self, data: Mapping[str, Tensor], draws: Draws) -> Tensor:
        """Augmented and masked target images."""
        assert draws.masked is not None and draws.mask is not None
        return augment(data["target_img"], draws.masked, self.method.data_preprocessor) * draws.mask

    def masked(self, img: Tensor, label: Tensor, weight: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy on masked images."""
        return parse(self.student.forward_train(img, label, weight)[0], "masked.")

    # ---------------------------------------------------------------------------------------- gradients

    def backward_source(self, total: Tensor) -> None:
        """The graph is kept for the feature distance."""
        total.backward(retain_graph=True)

    def backward_distance(self, total: Tensor) -> None:
        """Through the encoder for the second time."""
        total.backward()

    def backward_mixed(self, total: Tensor) -> None:
        """Of the mixed images."""
        total.backward()

    def backward_masked(self, total: Tensor) -> None:
        """Of the masked images."""
        total.backward()

    def step(self) -> None:
        """Of the optimizer."""
        self.optimizer.step()

    def update_teacher(self) -> None:
        """Exponential moving average, parameter by parameter."""
        iteration = self.method.iteration
        momentum = min(1 - 1 / (iteration + 1), self.settings.alpha)
        pairs = zip(self.teacher.model.parameters(), self.student.model.parameters(), strict=True)
        for average, parameter in pairs:
            if iteration == 0:
                average.data[:] = parameter.data[:].clone()
            else:
                average.data[:] = momentum * average.data[:] + (1 - momentum) * parameter.data[:]


def parse(losses: Losses, prefix: str = "") -> tuple[Tensor, dict[str, float]]:
    """Sum of the losses, and every value read by the host."""
    means = {prefix + name: value.mean() for name, value in losses.items()}
    total = sum((value for name, value in means.items() if "loss" in name), start=torch.zeros(()))
    return total, {name: value.item() for name, value in means.items()}


def downscale_label_ratio(label: Tensor, scale: int, min_ratio: float, num_classes: int) -> Tensor:
    """Dominating class of each cell by pooling a one-hot map of full size; 255 where there is none."""
    known = label.clone()
    known[known == IGNORE] = num_classes
    one_hot = F.one_hot(known, num_classes + 1).permute(0, 3, 1, 2)
    ratio, winner = F.avg_pool2d(one_hot.float(), kernel_size=scale).max(dim=1)
    winner[winner == num_classes] = IGNORE
    winner[ratio < min_ratio] = IGNORE
    return winner


def optimizer_of_all(method: nn.Module, cfg: Config) -> torch.optim.Optimizer:
    """AdamW with a group for every tensor of every network, updated one by one."""
    settings = {k: v for k, v in cfg.optim_wrapper.optimizer.items() if k not in ("type", "fused", "foreach")}
    keys = cfg.optim_wrapper.paramwise_cfg.custom_keys
    groups = []
    for name, parameter in method.named_parameters():
        lr_mult, decay_mult = multipliers(name, keys)
        rates = dict(lr=settings["lr"] * lr_mult, weight_decay=settings["weight_decay"] * decay_mult)
        groups.append(dict(params=[parameter], **rates))
    return torch.optim.AdamW(groups, **settings, foreach=False)
