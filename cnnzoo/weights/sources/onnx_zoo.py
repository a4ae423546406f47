"""Names in the ONNX model zoo's files from Caffe: AlexNet, ZFNet and the Inceptions.

A tensor is named by its layer and a suffix: `conv1_w_0`, `inception_3a/1x1_b_0`,
`conv1/7x7_s2/bn_scale_0`. Caffe2's Inception V2 has a second scale and shift behind each
normalisation.
"""

import re

from cnnzoo.weights.sources.renaming import ModuleNames, rules

ENDINGS = {  # of a name in the zoo, and what PyTorch calls the same
    "_w_0": ".weight",
    "_b_0": ".bias",
    "/bn_scale_0": "/bn.weight",
    "/bn_bias_0": "/bn.bias",
    "/bn_mean_0": "/bn.running_mean",
    "/bn_var_0": "/bn.running_var",
    "/bn/sc_w_0": "/bn.scale",
    "/bn/sc_b_0": "/bn.shift",
}
ALEXNET = rules(r"""
    stem_conv           conv1
    stage1_conv         conv2
    stage2_conv(\d)     conv{1+2}
    head_dense(\d)      fc{1+5}
    predictions         fc8
""")
INCEPTION = rules(r"""
    stem_conv1(_bn|)                            conv1/7x7_s2{1}
    stem_reduce(_bn|)                           conv2/3x3_reduce{1}
    stem_conv2(_bn|)                            conv2/3x3{1}
    stage(\d)_block(\d)_double_3x3_(r.+)         inception_{1+2}{2:abcde}/double3x3_{3}
    stage(\d)_block(\d)_double_3x3_(\d)(_bn|) inception_{1+2}{2:abcde}/double3x3{3:ab}{4}
    stage(\d)_block(\d)_(.+)                    inception_{1+2}{2:abcde}/{3}
    predictions                                 loss3/classifier
""")
FAMILY = "the ONNX model zoo"
NAMES = {
    **dict.fromkeys(("alexnet", "caffenet", "zfnet512"), ModuleNames(FAMILY, ALEXNET)),
    "inception_v1": ModuleNames(FAMILY, INCEPTION),
    "inception_v2": ModuleNames(FAMILY, INCEPTION),
}


def module_name(name: str) -> str:
    """The name of a tensor as PyTorch would spell it; others stay as they are."""
    match = re.fullmatch(rf"(.+?)({'|'.join(map(re.escape, ENDINGS))})", name)
    if not match:
        return name
    ending = ENDINGS[match[2]].replace("/bn", "_bn")
    return match[1] + ending
