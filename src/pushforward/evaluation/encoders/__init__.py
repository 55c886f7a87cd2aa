"""Encoders: what pictures (points, texts) are turned into before two sets of them are compared.

    encoder("random-conv")              by name: see `ENCODERS`
    encoder("model.onnx", size=224)     by the path of a TorchScript or ONNX file
    encoder(module, scale="imagenet")   any module or function (n, c, h, w) -> (n, d)

`space_with` puts a comparison into an encoder's features; `encode_features` saves them, to be compared as points later.
"""

from .encoder import Encoder
from .features import check_features, encode_features
from .labels import Labels, labels_alike, labels_of
from .names import ENCODERS, encoder
from .nearest import nearest_pairs
from .preparation import SCALES, Preparation
from .space import space_with
from .text import TextEncoder, text_encoder

__all__ = [
    "ENCODERS",
    "SCALES",
    "Encoder",
    "Labels",
    "Preparation",
    "TextEncoder",
    "check_features",
    "encode_features",
    "encoder",
    "labels_alike",
    "labels_of",
    "nearest_pairs",
    "space_with",
    "text_encoder",
]
