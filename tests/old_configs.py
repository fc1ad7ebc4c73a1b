"""Configs of the 0.x form, as the published generators wrote them, from the stored settings of runs."""

import json
from typing import Any

NORM = dict(type="BN", requires_grad=True)
RELU = dict(type="ReLU")
NORMALIZE = dict(
    type="Normalize", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
)  # fmt: skip
TUPLES = {"img_scale", "crop_size", "size", "stride", "dilations", "hr_crop_size", "betas", "down_factor"}
DATASET_KEYS = ("type", "img_dir", "ann_dir", "crop_pseudo_margins")


def old_backbone(backbone: dict) -> dict[str, Any]:
    if backbone["type"].startswith("mit"):
        return dict(backbone, style="pytorch")
    return dict(
        backbone, num_stages=4, out_indices=[0, 1, 2, 3], norm_cfg=NORM, norm_eval=False, style="pytorch"
    )


def old_layer(kind: str, sep: bool | None, dilations: list[int] | None) -> dict[str, Any]:
    block = dict(act_cfg=RELU, norm_cfg=NORM)
    aspp = dict(sep=sep, dilations=dilations, pool=False)
    return {
        "mlp": dict(type="mlp", act_cfg=None, norm_cfg=None),
        "conv": dict(type="conv", kernel_size=1, **block),
        "aspp": dict(type="aspp", **aspp, **block),
        "rawconv_and_aspp": dict(type="rawconv_and_aspp", kernel_size=1, **aspp, **block),
        "isa": dict(type="isa", isa_channels=256, key_query_num_convs=1, down_factor=[8, 8], **block),
    }[kind]


def old_head(head: dict) -> dict[str, Any]:
    head = dict(head)
    head["norm_cfg"] = NORM if head.pop("norm") == "BN" else None
    if head["type"] == "DLV2Head" or head.get("single_scale_head") == "DLV2Head":
        del head["norm_cfg"]
        head["init_cfg"] = dict(type="Normal", std=0.01, override=dict(name="aspp_modules"))
    if params := head.get("decoder_params"):
        head["decoder_params"] = dict(
            embed_dims=params["embed_dims"],
            embed_cfg=old_layer(params["embed"], None, None),
            embed_neck_cfg=old_layer(
                params["embed_neck"], params["embed_neck_dilations"] and True, params["embed_neck_dilations"]
            ),
            fusion_cfg=old_layer(params["fusion"], params["fusion_sep"], params["fusion_dilations"]),
        )
    if "embed_dim" in head:
        head["decoder_params"] = dict(embed_dim=head.pop("embed_dim"), conv_kernel_size=1)
    return dict(head, loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0))


def training_pipeline(data: dict) -> list[dict[str, Any]]:
    crop = dict(type="RandomCrop", crop_size=data["crop"])
    if data["cat_max_ratio"] < 1:
        crop["cat_max_ratio"] = data["cat_max_ratio"]
    distortion = [dict(type="PhotoMetricDistortion")] if data.get("photometric") else []
    labels = [] if data["type"] in ("ACDCDataset", "DarkZurichDataset") else [dict(type="LoadAnnotations")]
    keys = ["img", "gt_semantic_seg"] if labels else ["img"]
    if "crop_pseudo_margins" in data:
        keys.append("valid_pseudo_mask")
    return [
        dict(type="LoadImageFromFile"), *labels, dict(type="Resize", img_scale=data["resize"]), crop,
        dict(type="RandomFlip", prob=0.5), *distortion, dict(NORMALIZE),
        dict(type="Pad", size=data["crop"], pad_val=0, seg_pad_val=255), dict(type="DefaultFormatBundle"),
        dict(type="Collect", keys=keys),
    ]  # fmt: skip


def test_pipeline(scale: list[int]) -> list[dict[str, Any]]:
    inner = [
        dict(type="Resize", keep_ratio=True), dict(type="RandomFlip"), dict(NORMALIZE),
        dict(type="ImageToTensor", keys=["img"]), dict(type="Collect", keys=["img"]),
    ]  # fmt: skip
    aug = dict(type="MultiScaleFlipAug", img_scale=scale, flip=False, transforms=inner)
    return [dict(type="LoadImageFromFile"), aug]


test_pipeline.__test__ = False  # type: ignore[attr-defined]


def old_dataset(data: dict, pipeline: list[dict]) -> dict[str, Any]:
    kept = {key: data[key] for key in DATASET_KEYS if key in data}
    return dict(kept, data_root=f"{data['data_root']}/", pipeline=pipeline)


def old_train(train: dict) -> dict[str, Any]:
    if train["type"] != "UDADataset":
        return old_dataset(train, training_pipeline(train))
    pair = {side: old_dataset(train[side], training_pipeline(train[side])) for side in ("source", "target")}
    dataset: dict[str, Any] = dict(type="UDADataset", **pair)
    if sampling := train["rare_class_sampling"]:
        dataset["rare_class_sampling"] = dict(sampling, class_temp=float(sampling["class_temp"]))
    if train["sync_crop_size"]:
        dataset["sync_crop_size"] = train["sync_crop_size"]
    return dataset


def old_config(row: dict[str, Any]) -> dict[str, Any]:
    """The complete 0.x config of a run.

    Args:
        row: Its stored settings.
    """
    row = json.loads(json.dumps(row))
    names = ("scales", "hr_crop_size", "feature_scale", "crop_coord_divisible", "hr_slide_inference",
             "hr_slide_overlapping", "blur_hr_crop", "test_cfg", "pretrained")  # fmt: skip
    model = {key: row[key] for key in names if key in row}
    model |= dict(type=row["segmentor"], backbone=old_backbone(row["backbone"]), train_cfg={})
    model["decode_head"] = old_head(row["decode_head"])
    if row["neck"]:
        bottleneck = (
            "embed_neck_dilations" in str(row["decode_head"]) and row["decode_head"]["decoder_params"]
        )
        model["neck"] = dict(type=row["neck"]) | (dict(scales=[8]) if bottleneck else {})
    val = old_dataset(row["val"], test_pipeline(row["val"]["resize"]))
    config: dict[str, Any] = dict(
        log_config=dict(interval=50, hooks=[dict(type="TextLoggerHook", by_epoch=False)]),
        dist_params=dict(backend="nccl"), log_level="ERROR" if row["id"] == 100 else "INFO",
        load_from=None, resume_from=None, workflow=[["train", 1]], cudnn_benchmark=True,
        norm_cfg=NORM, find_unused_parameters=True,
        model=model, dataset_type="CityscapesDataset", data_root="data/cityscapes/",
        img_norm_cfg={key: NORMALIZE[key] for key in ("mean", "std", "to_rgb")}, crop_size=[512, 512],
        gta_train_pipeline=[], test_pipeline=[],
        data=dict(
            samples_per_gpu=row["batch_size"], workers_per_gpu=row["workers"],
            train=old_train(row["train"]), val=val, test=json.loads(json.dumps(val)),
        ),
        optimizer=row["optimizer"], optimizer_config={}, lr_config=row["lr_config"], n_gpus=1,
        gpu_model="NVIDIATITANRTX", runner=dict(type="IterBasedRunner", max_iters=row["max_iters"]),
        checkpoint_config=dict(by_epoch=False, interval=row["checkpoint_interval"], max_keep_ckpts=1),
        evaluation=dict(interval=row["eval_interval"], metric="mIoU"), seed=row["seed"], exp=row["id"],
        name=row["name"], work_dir=f"work_dirs/local-exp{row['id']}/unique", git_rev="0" * 40, gpu_ids=[0],
        **{key: value for key, value in row.items() if key.startswith("name_")},
    )  # fmt: skip
    if row["uda"]:
        drawing = dict(debug_img_interval=1000, print_grad_magnitude=False)
        config |= dict(uda=row["uda"] | drawing, use_ddp_wrapper=True, optimizer_config=None)
        if "mask_mode" in row["uda"]:
            config["log_config"]["img_interval"] = 1000
    return config


def with_tuples(value: Any, key: str = "") -> Any:
    """As Python configs have it, which know tuples."""
    if isinstance(value, dict):
        return {name: with_tuples(entry, name) for name, entry in value.items()}
    if isinstance(value, list):
        entries = [with_tuples(entry) for entry in value]
        return tuple(entries) if key in TUPLES else entries
    return value
