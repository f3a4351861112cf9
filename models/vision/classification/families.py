"""The families of backbones that KerasHub has: arguments of each size, and the scaling of pixels.

A table for `backbones.py`. Parameters agree with `keras.applications` where that has the same
network (`tests/models/test_image_backbones.py`).
"""

from dataclasses import dataclass

from keras_hub import models

from penstock.models.vision.classification.config import PATCH_SIDE

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green, blue in 0..1: what weights of torchvision and timm, and so KerasHub's, expect."""


@dataclass(frozen=True)
class Family:
    """One family of backbones.

    Attributes:
        make: its class.
        sizes: size -> arguments.
        mean, deviation: subtracted from pixels in 0..1, then divided by.
    """

    make: type
    sizes: dict[str, dict]
    mean: tuple = IMAGENET_MEAN
    deviation: tuple = IMAGENET_DEVIATION


def _resnet(blocks, kind):
    """He et al., arXiv:1512.03385, table 1."""
    return {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 128, 256, 512],
        "stackwise_num_blocks": blocks,
        "stackwise_num_strides": [1, 2, 2, 2],
        "block_type": kind,
    }


def _efficientnet(width, depth):
    """Tan and Le, arXiv:1905.11946: table 1, times the factors of their implementation."""
    return {
        "stackwise_width_coefficients": [width] * 7,
        "stackwise_depth_coefficients": [depth] * 7,
        "stackwise_kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
        "stackwise_num_repeats": [1, 2, 2, 3, 3, 4, 1],
        "stackwise_input_filters": [32, 16, 24, 40, 80, 112, 192],
        "stackwise_output_filters": [16, 24, 40, 80, 112, 192, 320],
        "stackwise_expansion_ratios": [1, 6, 6, 6, 6, 6, 6],
        "stackwise_squeeze_and_excite_ratios": [0.25] * 7,
        "stackwise_strides": [1, 2, 2, 2, 1, 2, 1],
        "stackwise_block_types": ["v1"] * 7,
        "min_depth": None,
        "use_depth_divisor_as_min_depth": True,
        "cap_round_filter_decrease": True,
    }


def _mobilenet_v3(stages, **stem):
    """Howard et al., arXiv:1905.02244, tables 1 and 2.

    Args:
        stages: of each stage its blocks: (kernel, expanded, filters, squeeze, activation, stride).
        stem: what differs in the first and the last layer.
    """
    columns = {
        "stackwise_kernel_size": 0,
        "stackwise_expansion": 1,
        "stackwise_num_filters": 2,
        "stackwise_se_ratio": 3,
        "stackwise_activation": 4,
        "stackwise_num_strides": 5,
    }
    stacked = {key: [[b[n] for b in stage] for stage in stages] for key, n in columns.items()}
    return {
        **stacked,
        "stackwise_num_blocks": [len(stage) for stage in stages],
        "stackwise_padding": [[block[0] // 2 for block in stage] for stage in stages],
        "depthwise_filters": 16,
        **stem,
    }


def _vit(depth, width, heads):
    """Dosovitskiy et al., arXiv:2010.11929, table 1; tiny and small: arXiv:2012.12877, table 1."""
    return {
        "patch_size": PATCH_SIDE,
        "num_layers": depth,
        "hidden_dim": width,
        "num_heads": heads,
        "mlp_dim": 4 * width,
    }


RELU, SWISH = "relu", "hard_swish"
MOBILENET_SMALL = _mobilenet_v3(
    [
        [(3, 72, 24, None, RELU, 2), (3, 88, 24, None, RELU, 1)],
        [(5, 96, 40, 0.25, SWISH, 2)] + 2 * [(5, 240, 40, 0.25, SWISH, 1)],
        [(5, 120, 48, 0.25, SWISH, 1), (5, 144, 48, 0.25, SWISH, 1)],
        [(5, 288, 96, 0.25, SWISH, 2)] + 2 * [(5, 576, 96, 0.25, SWISH, 1)],
    ],
    depthwise_stride=2,
    depthwise_residual=False,
    squeeze_and_excite=0.5,
    output_num_filters=1024,
    last_layer_filter=576,
)
MOBILENET_LARGE = _mobilenet_v3(
    [
        [(3, 64, 24, None, RELU, 2), (3, 72, 24, None, RELU, 1)],
        [(5, 72, 40, 0.25, RELU, 2)] + 2 * [(5, 120, 40, 0.25, RELU, 1)],
        [(3, 240, 80, None, SWISH, 2), (3, 200, 80, None, SWISH, 1)]
        + 2 * [(3, 184, 80, None, SWISH, 1)],
        [(3, 480, 112, 0.25, SWISH, 1), (3, 672, 112, 0.25, SWISH, 1)],
        [(5, 672, 160, 0.25, SWISH, 2)] + 2 * [(5, 960, 160, 0.25, SWISH, 1)],
    ],
    depthwise_stride=1,
    depthwise_residual=True,
    squeeze_and_excite=None,
    output_num_filters=1280,
    last_layer_filter=960,
)

FAMILIES = {
    "resnet": Family(
        models.ResNetBackbone,
        {
            "18": _resnet([2, 2, 2, 2], "basic_block"),
            "34": _resnet([3, 4, 6, 3], "basic_block"),
            "50": _resnet([3, 4, 6, 3], "bottleneck_block"),
            "101": _resnet([3, 4, 23, 3], "bottleneck_block"),
            "152": _resnet([3, 8, 36, 3], "bottleneck_block"),
        },
    ),
    "densenet": Family(  # Huang et al., arXiv:1608.06993, table 1
        models.DenseNetBackbone,
        {
            "121": {"stackwise_num_repeats": [6, 12, 24, 16]},
            "169": {"stackwise_num_repeats": [6, 12, 32, 32]},
            "201": {"stackwise_num_repeats": [6, 12, 48, 32]},
        },
    ),
    "efficientnet": Family(
        models.EfficientNetBackbone,
        {
            "b0": _efficientnet(1.0, 1.0),
            "b1": _efficientnet(1.0, 1.1),
            "b2": _efficientnet(1.1, 1.2),
            "b3": _efficientnet(1.2, 1.4),
            "b4": _efficientnet(1.4, 1.8),
            "b5": _efficientnet(1.6, 2.2),
            "b6": _efficientnet(1.8, 2.6),
            "b7": _efficientnet(2.0, 3.1),
        },
    ),
    "mobilenet_v3": Family(
        models.MobileNetBackbone,
        {"small": MOBILENET_SMALL, "large": MOBILENET_LARGE},
    ),
    "vit": Family(
        models.ViTBackbone,
        {
            "tiny": _vit(12, 192, 3),
            "small": _vit(12, 384, 6),
            "base": _vit(12, 768, 12),
            "large": _vit(24, 1024, 16),
        },
        mean=(0.5, 0.5, 0.5),
        deviation=(0.5, 0.5, 0.5),
    ),
}
