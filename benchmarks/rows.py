"""The rows of the benchmark and their goals, in the records of `contest.py`."""

from dataclasses import replace

from benchmarks.contest import Contender, Goal, Growth, Row
from benchmarks.task import Work

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2"}  # as on a CPU without AVX-512 and matrix units

OURS = Contender("cnnzoo", "cnnzoo", "benchmarks.train_keras:ours")
KERAS = Contender("keras", "Keras on TensorFlow, float32", "benchmarks.train_keras:stock")
JAX = Contender(
    "keras-jax",
    "Keras on JAX, float32",
    "benchmarks.train_keras:stock",
    {"KERAS_BACKEND": "jax"},
)
TORCH = Contender("torch-float32", "PyTorch, float32", "benchmarks.train_torch:float32")
BFLOAT16 = Contender(
    "torch-bfloat16", "PyTorch, bfloat16", "benchmarks.train_torch:bfloat16"
)
COMPILED = Contender(
    "torch-bfloat16-compiled",
    "PyTorch, bfloat16, compiled",
    "benchmarks.train_torch:compiled",
)
TORCH_BFLOAT16 = (BFLOAT16.name, COMPILED.name)

ALL_CONTENDERS = (OURS, KERAS, JAX, TORCH, BFLOAT16, COMPILED)
# torch.compile takes minutes for a network of many different layers, so it is measured
# only where a goal compares with it. At 224 pixels each process takes about 4 GB.
NOT_COMPILED = (OURS, KERAS, JAX, TORCH, BFLOAT16)
LARGE = (OURS, KERAS, TORCH, BFLOAT16, COMPILED)
LARGE_NOT_COMPILED = (OURS, KERAS, TORCH, BFLOAT16)

FIT = "stock Keras `fit`, float32"
BEST = "PyTorch bfloat16, the better of eager and compiled"


VGG_GOALS = (
    Goal((KERAS.name,), FIT, 3.0, matrix_units=True),
    Goal(TORCH_BFLOAT16, BEST, 1.1, matrix_units=True),
)
SMALL_VGG = Work("small_vgg", steps=2)
VERY_SMALL_VGG = Work("very_small_vgg", steps=6)
SMALL_RESNET = Work("small_resnet", steps=4)

TRAINING = (
    Row(
        "small_vgg",
        "SmallVGG training, batch 128",
        "training",
        SMALL_VGG,
        ALL_CONTENDERS,
        VGG_GOALS,
    ),
    Row(
        "very_small_vgg",
        "VerySmallVGG training, batch 128",
        "training",
        VERY_SMALL_VGG,
        ALL_CONTENDERS,
        VGG_GOALS,
    ),
    Row(
        "small_resnet",
        "SmallResNet training, batch 128",
        "training",
        SMALL_RESNET,
        NOT_COMPILED,
        (Goal((KERAS.name,), FIT, 3.0, matrix_units=True),),
    ),
    Row(
        "resnet50",
        "ResNet50 training, 224 px, batch 16",
        "training",
        Work("resnet50", (224, 224, 3), batch=16, steps=2, classes=1000, warm_ups=1),
        LARGE,
        (
            Goal((KERAS.name,), FIT, 2.5, matrix_units=True),
            Goal(TORCH_BFLOAT16, BEST, 1.0, matrix_units=True),
        ),
    ),
    Row(
        "inception_v1",
        "GoogLeNet training, 224 px, batch 16",
        "training",
        Work("inception_v1", (224, 224, 3), batch=16, steps=2, classes=1000, warm_ups=1),
        LARGE_NOT_COMPILED,
        (
            Goal(
                (KERAS.name,),
                "the same with `tf.nn.local_response_normalization`, float32",
                2.5,
                matrix_units=True,
            ),
        ),
    ),
)

AVX2_ROWS = tuple(
    Row(
        f"{row.name}_avx2",
        f"{row.title}, oneDNN limited to AVX2",
        "avx2",
        replace(row.work, warm_ups=1),
        tuple(replace(contender, env=AVX2) for contender in (OURS, KERAS)),
        (Goal((KERAS.name,), FIT, 1.1),) if row.name == "very_small_vgg" else (),
    )
    for row in TRAINING
    if row.name in ("small_vgg", "very_small_vgg", "small_resnet")
)

LRN = Row(
    "lrn",
    "LRN forward + backward, 16x56x56x192",
    "kernels",
    Work(shape=(56, 56, 192), batch=16, steps=8),
    (
        Contender("cnnzoo", "cnnzoo", "benchmarks.kernels:our_lrn"),
        Contender(
            "tf.nn", "`tf.nn.local_response_normalization`", "benchmarks.kernels:tf_lrn"
        ),
    ),
    (Goal(("tf.nn",), "`tf.nn.local_response_normalization`", 2.0),),
)

AUGMENT = Row(
    "augment",
    "Augmentation of a batch of 128 digits",
    "kernels",
    VERY_SMALL_VGG,
    (
        Contender("augment", "augmentation", "benchmarks.augment:batches"),
        OURS,
    ),
    (
        Goal(
            (OURS.name,),
            "a training step of VerySmallVGG",
            0.1,
            at_most=True,
            ours="augment",
        ),
    ),
)

MATMUL = Row(
    "matmul",
    "Matrix product, 4096x4096",
    "kernels",
    Work(shape=(4096, 4096, 1), batch=1, steps=2),
    (
        Contender("float32", "float32", "benchmarks.kernels:float32_product"),
        Contender("bfloat16", "bfloat16", "benchmarks.kernels:bfloat16_product"),
    ),
)

STARTUP = (
    Row(
        "build",
        "Building each network of `keras.applications`, the largest ratio",
        "startup",
        Work(warm_ups=1),
        (
            Contender("cnnzoo", "cnnzoo", "benchmarks.startup:our_builds"),
            Contender("keras", "`keras.applications`", "benchmarks.startup:stock_builds"),
        ),
        (Goal(("keras",), "`keras.applications`", 1.1, at_most=True),),
    ),
    Row(
        "fresh",
        "A new process that imports and builds VGG16",
        "startup",
        Work(warm_ups=1),
        (
            Contender("cnnzoo", "cnnzoo", "benchmarks.startup:our_process"),
            Contender(
                "keras", "`keras.applications`", "benchmarks.startup:stock_process"
            ),
        ),
        (Goal(("keras",), "`keras.applications`", 1.0, at_most=True),),
    ),
)


GROWTH = (
    Growth(
        "growth_batch",
        "SmallVGG, 28 px",
        "images per batch",
        {size: Work("small_vgg", batch=size, steps=2) for size in (1, 8, 32, 128)},
    ),
    Growth(
        "growth_side",
        "ResNet18, batch 8",
        "side of the images, px",
        {
            side: Work("resnet18", (side, side, 3), batch=8, steps=2, classes=1000)
            for side in (64, 96, 128, 160, 224)
        },
    ),
    Growth(
        "growth_depth",
        "ResNets for CIFAR-10, 32 px, batch 32",
        "layers",
        {
            depth: Work(f"resnet{depth}", (32, 32, 3), batch=32, steps=2)
            for depth in (20, 32, 44, 56, 110)
        },
    ),
)

GROWTH_ROWS = tuple(
    Row(
        f"{growth.group}_{x}",
        f"{growth.title}; {growth.axis}: {x}",
        growth.group,
        replace(work, warm_ups=1),
        (OURS,),
        x=x,
    )
    for growth in GROWTH
    for x, work in growth.points.items()
)

ROWS = {
    row.name: row
    for row in (*TRAINING, *AVX2_ROWS, LRN, AUGMENT, MATMUL, *STARTUP, *GROWTH_ROWS)
}


def select_rows(names: list[str]) -> list[Row]:
    """The rows of these names or groups, or all rows; "growth" means all its groups.

    Raises:
        KeyError: A name is neither that of a row nor of a group.
    """
    available = {*ROWS, *(row.group for row in ROWS.values()), "growth"}
    unknown = [name for name in names if name not in available]
    if unknown:
        raise KeyError(
            f"no row or group {', '.join(unknown)}; there are {sorted(available)}"
        )
    return [
        row
        for row in ROWS.values()
        if not names
        or row.name in names
        or row.group in names
        or ("growth" in names and row.x)
    ]
