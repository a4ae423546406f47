"""Names of the modules in files of torchvision, and of akamaster's CIFAR ResNets.

https://github.com/pytorch/vision and https://github.com/akamaster/pytorch_resnet_cifar10,
which takes torchvision's names with other words for two modules.
"""

from cnnzoo.models import vgg
from cnnzoo.weights.sources.renaming import ModuleNames, Rules, rules, with_norms

RESNET = rules(r"""
    stem_conv                            conv1
    stem_conv_bn                         bn1
    stage(\d)_block(\d+)_conv(\d)        layer{1}.{2-1}.conv{3}
    stage(\d)_block(\d+)_conv(\d)_bn     layer{1}.{2-1}.bn{3}
    stage(\d)_block(\d+)_shortcut        layer{1}.{2-1}.downsample.0
    stage(\d)_block(\d+)_shortcut_bn     layer{1}.{2-1}.downsample.1
    predictions                          fc
""")
AKAMASTER = tuple(  # of three stages, unlike the ResNet18 of others with these names
    (
        ours.replace(r"stage(\d)", "stage([1-3])"),
        theirs.replace("downsample", "shortcut").replace("fc", "linear"),
    )
    for ours, theirs in RESNET
)
ALEXNET = rules(r"""
    stem_conv       features.0
    stage1_conv     features.3
    stage2_conv1    features.6
    stage2_conv2    features.8
    stage2_conv3    features.10
    head_dense1     classifier.1
    head_dense2     classifier.4
    predictions     classifier.6
""")
VGG_HEAD = rules(r"""
    head_dense1     classifier.0
    head_dense2     classifier.3
    predictions     classifier.6
""")


def vggs(family: str, head: Rules) -> dict[str, ModuleNames]:
    """Names of VGGs, which count layers through all stages, with ReLUs and pools."""
    tables = {}
    for name, (repeats, *_) in vgg.REPEATS.items():
        for end, step in (("", 2), ("_bn", 3)):
            found, at = [], 0
            for stage, count in enumerate(repeats, start=1):
                for i in range(1, count + 1):
                    found.append((f"stage{stage}_conv{i}", f"features.{at}"))
                    found.append((f"stage{stage}_conv{i}_bn", f"features.{at + 1}"))
                    at += step
                at += 1
            tables[f"{name}{end}"] = ModuleNames(family, (*found, *head), "torch")
    return tables


GOOGLENET = (
    *with_norms(r"""
        stem_conv1                       conv1
        stem_reduce                      conv2
        stem_conv2                       conv3
        stage(\d)_block(\d)_1x1          inception{1+2}{2:abcde}.branch1
        stage(\d)_block(\d)_3x3_reduce   inception{1+2}{2:abcde}.branch2.0
        stage(\d)_block(\d)_3x3          inception{1+2}{2:abcde}.branch2.1
        stage(\d)_block(\d)_5x5_reduce   inception{1+2}{2:abcde}.branch3.0
        stage(\d)_block(\d)_5x5          inception{1+2}{2:abcde}.branch3.1
        stage(\d)_block(\d)_pool_proj    inception{1+2}{2:abcde}.branch4.1
        (aux\d)_conv                     {1}.conv
    """),
    *rules(r"""
        (aux\d)_dense                    {1}.fc1
        (aux\d)_predictions              {1}.fc2
        predictions                      fc
    """),
)
INCEPTION_V3 = (
    *with_norms(r"""
        stem_conv1                            Conv2d_1a_3x3
        stem_conv([23])                       Conv2d_2{1-1:ab}_3x3
        stem_conv4                            Conv2d_3b_1x1
        stem_conv5                            Conv2d_4a_3x3
        stage(\d)_block(\d)_branch1_conv1     Mixed_{1+4}{2+1:abcde}.branch1x1
        stage(\d)_block(\d)_proj              Mixed_{1+4}{2+1:abcde}.branch_pool
        stage1_block(\d)_branch2_conv(\d)     Mixed_5{1+1:abcd}.branch5x5_{2}
        stage2_reduction_branch1_conv1        Mixed_6a.branch3x3
        stage2_reduction_branch2_conv(\d)     Mixed_6a.branch3x3dbl_{1}
        stage2_block(\d)_branch2_conv(\d)     Mixed_6{1+1:abcde}.branch7x7_{2}
        stage2_block(\d)_branch3_conv(\d)     Mixed_6{1+1:abcde}.branch7x7dbl_{2}
        stage3_reduction_branch1_conv(\d)     Mixed_7a.branch3x3_{1}
        stage3_reduction_branch2_conv(\d)     Mixed_7a.branch7x7x3_{1}
        stage3_block(\d)_branch2_conv(\d)     Mixed_7{1+1:abc}.branch3x3_{2}
        stage3_block(\d)_branch2_row          Mixed_7{1+1:abc}.branch3x3_2a
        stage3_block(\d)_branch2_column       Mixed_7{1+1:abc}.branch3x3_2b
        stage(\d)_block(\d)_branch3_conv(\d)  Mixed_{1+4}{2+1:abcd}.branch3x3dbl_{3}
        stage3_block(\d)_branch3_row          Mixed_7{1+1:abc}.branch3x3dbl_3a
        stage3_block(\d)_branch3_column       Mixed_7{1+1:abc}.branch3x3dbl_3b
        aux1_conv(\d)                         AuxLogits.conv{1-1}
    """),
    *rules("aux1_predictions AuxLogits.fc \n predictions fc"),
)

FAMILY = "torchvision"
_RESNETS = ModuleNames(FAMILY, RESNET, "torch")
_CIFAR = ModuleNames("akamaster's CIFAR ResNets", AKAMASTER, "torch")
NAMES = {
    **{f"resnet{n}": _RESNETS for n in (18, 34)},
    **{f"resnet{n}_v1_5": _RESNETS for n in (50, 101, 152)},
    **{f"resnet{n}": _CIFAR for n in (20, 32, 44, 56, 110)},
    **vggs(FAMILY, VGG_HEAD),
    "alexnet_torchvision": ModuleNames(FAMILY, ALEXNET, "torch"),
    "googlenet_bn": ModuleNames(FAMILY, GOOGLENET),
    "inception_v3_torchvision": ModuleNames(FAMILY, INCEPTION_V3),
}
