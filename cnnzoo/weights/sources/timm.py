"""Names of the modules in files of timm.

https://github.com/huggingface/pytorch-image-models; where timm has torchvision's names,
those tables are used.
"""

from cnnzoo.weights.sources.renaming import ModuleNames, rules, with_norms
from cnnzoo.weights.sources.torchvision import vggs

VGG_HEAD = rules(r"""
    head_dense(\d)      pre_logits.fc{1}
    predictions         head.fc
""")
RESNET_V2 = rules(r"""
    stem_conv                           stem.conv
    stage(\d)_block(\d+)_preact_bn      stages.{1-1}.blocks.{2-1}.norm1
    stage(\d)_block(\d+)_conv(\d)       stages.{1-1}.blocks.{2-1}.conv{3}
    stage(\d)_block(\d+)_conv(\d)_bn    stages.{1-1}.blocks.{2-1}.norm{3+1}
    stage(\d)_block(\d+)_shortcut       stages.{1-1}.blocks.{2-1}.downsample.conv
    stage4_bn                           norm
    predictions                         head.fc
""")
INCEPTION_V4 = (
    *with_norms(r"""
        stem_conv(\d)                           features.{1-1}
        stem_split1_conv                        features.3.conv
        stem_split2_branch(\d)_conv(\d)         features.4.branch{1-1}.{2-1}
        stem_split3_conv                        features.5.conv
        stage1_block(\d)_branch1_conv1          features.{1+5}.branch0
        stage1_block(\d)_branch(\d)_conv(\d)    features.{1+5}.branch{2-1}.{3-1}
        stage1_block(\d)_proj                   features.{1+5}.branch3.1
        stage2_reduction_branch1_conv1          features.10.branch0
        stage2_reduction_branch(\d)_conv(\d)    features.10.branch{1-1}.{2-1}
        stage2_block(\d)_branch1_conv1          features.{1+10}.branch0
        stage2_block(\d)_branch(\d)_conv(\d)    features.{1+10}.branch{2-1}.{3-1}
        stage2_block(\d)_proj                   features.{1+10}.branch3.1
        stage3_reduction_branch(\d)_conv(\d)    features.18.branch{1-1}.{2-1}
        stage3_block(\d)_branch1_conv1          features.{1+18}.branch0
        stage3_block(\d)_branch(\d)_conv(\d)    features.{1+18}.branch{2-1}_{3-1}
        stage3_block(\d)_branch2_row            features.{1+18}.branch1_1a
        stage3_block(\d)_branch2_column         features.{1+18}.branch1_1b
        stage3_block(\d)_branch3_row            features.{1+18}.branch2_3a
        stage3_block(\d)_branch3_column         features.{1+18}.branch2_3b
        stage3_block(\d)_proj                   features.{1+18}.branch3.1
    """),
    ("predictions", "last_linear"),
)
INCEPTION_RESNET = (  # the last block of version 2 has a name of its own
    *with_norms(r"""
        stem_conv1                              conv2d_1a
        stem_conv([23])                         conv2d_2{1-1:ab}
        stem_conv4                              conv2d_3b
        stem_conv([56])                         conv2d_4{1-4:ab}
        stem_mixed_branch1_conv1                mixed_5b.branch0
        stem_mixed_branch(\d)_conv(\d)          mixed_5b.branch{1-1}.{2-1}
        stem_mixed_proj                         mixed_5b.branch3.1
        stage1_block(\d+)_branch1_conv1         repeat.{1-1}.branch0
        stage1_block(\d+)_branch(\d)_conv(\d)   repeat.{1-1}.branch{2-1}.{3-1}
        stage2_reduction_branch1_conv1          mixed_6a.branch0
        stage(\d)_reduction_branch(\d)_conv(\d) mixed_{1+4}a.branch{2-1}.{3-1}
        stage3_block10_branch1_conv1            block8.branch0
        stage3_block10_branch(\d)_conv(\d)      block8.branch{1-1}.{2-1}
        stage(\d)_block(\d+)_branch1_conv1      repeat_{1-1}.{2-1}.branch0
        stage(\d)_block(\d+)_branch(\d)_conv(\d) repeat_{1-1}.{2-1}.branch{3-1}.{4-1}
        stage3_conv                             conv2d_7b
    """),
    *rules(r"""
        stage1_block(\d+)_linear                repeat.{1-1}.conv2d
        stage3_block10_linear                   block8.conv2d
        stage(\d)_block(\d+)_linear             repeat_{1-1}.{2-1}.conv2d
        predictions                             classif
    """),
)
XCEPTION = rules(r"""
    stem_conv(\d)                       conv{1}
    stem_conv(\d)_bn                    bn{1}
    stage([1-3])_block1_shortcut        block{1}.skip
    stage([1-3])_block1_shortcut_bn     block{1}.skipbn
    stage1_block1_sepconv(\d)           block1.rep.{1:03}
    stage1_block1_sepconv(\d)_bn        block1.rep.{1:14}
    stage2_block1_sepconv(\d)           block2.rep.{1:14}
    stage2_block1_sepconv(\d)_bn        block2.rep.{1:25}
    stage3_block(\d)_sepconv(\d)        block{1+2}.rep.{2:147}
    stage3_block(\d)_sepconv(\d)_bn     block{1+2}.rep.{2:258}
    stage4_block1_shortcut              block12.skip
    stage4_block1_shortcut_bn           block12.skipbn
    stage4_block1_sepconv(\d)           block12.rep.{1:14}
    stage4_block1_sepconv(\d)_bn        block12.rep.{1:25}
    stage4_sepconv(\d)                  conv{1+2}
    stage4_sepconv(\d)_bn               bn{1+2}
    predictions                         fc
""")

FAMILY = "timm"
_RESNETS_V2 = ModuleNames(FAMILY, RESNET_V2)
_INCEPTION_RESNETS = ModuleNames(FAMILY, INCEPTION_RESNET)
NAMES = {
    **vggs(FAMILY, VGG_HEAD),
    **dict.fromkeys(("resnet18_v2", "resnet34_v2", "resnet50_v2_timm"), _RESNETS_V2),
    "inception_v4": ModuleNames(FAMILY, INCEPTION_V4),
    **{f"inception_resnet_v{n}": _INCEPTION_RESNETS for n in (1, 2)},
    "xception_timm": ModuleNames(FAMILY, XCEPTION),
}
