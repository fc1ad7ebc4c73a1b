# VGG-16 with weights converted from Caffe, which take BGR values without division by a standard deviation.
model = dict(
    type="EncoderDecoder",
    pretrained="open-mmlab://vgg16_caffe",
    data_preprocessor=dict(
        type="SegDataPreprocessor",
        mean=(104.00698793, 116.66876762, 122.67891434),
        std=(1.0, 1.0, 1.0),
        rgb_to_bgr=True,
    ),
    test_cfg=dict(mode="whole", resize_once=True),
)
