"""Names of Caffe's Inceptions: in the ONNX model zoo's files and in Cadene's.

In the zoo, a tensor is named by its layer and a suffix: `inception_3a/1x1_b_0`,
`conv1/7x7_s2/bn_scale_0`. https://github.com/onnx/models,
https://github.com/Cadene/pretrained-models.pytorch
"""

from cnnzoo.weights.sources.renaming import ModuleNames, with_norms

ZOO = with_norms(
    r"""
    stem_conv1                              conv1/7x7_s2
    stem_reduce                             conv2/3x3_reduce
    stem_conv2                              conv2/3x3
    stage(\d)_block(\d)_double_3x3_reduce   inception_{1+2}{2:abcde}/double3x3_reduce
    stage(\d)_block(\d)_double_3x3_(\d)     inception_{1+2}{2:abcde}/double3x3{3:ab}
    stage(\d)_block(\d)_(.+?)               inception_{1+2}{2:abcde}/{3}
    predictions                             loss3/classifier
    """,
    conv="",
    norm="/bn",
)
CADENE = with_norms(
    r"""
    stem_conv1                  conv1_7x7_s2
    stem_reduce                 conv2_3x3_reduce
    stem_conv2                  conv2_3x3
    stage(\d)_block(\d)_(.+?)   inception_{1+2}{2:abcde}_{3}
    predictions                 last_linear
    """,
    conv="",
    norm="_bn",
)
NAMES = {
    **dict.fromkeys(
        ("inception_v1", "inception_v2"), ModuleNames("the ONNX model zoo", ZOO)
    ),
    "bn_inception": ModuleNames("Cadene's BN-Inception", CADENE),
}
