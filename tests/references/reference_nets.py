"""LeNet, VGG, ResNet and the first networks of a course in NumPy or PyTorch.

Those of a paper are written from it. They are apart from cnnzoo, which they do not
import; only the names by which they ask for weights are cnnzoo's. Each takes images
(b, h, w, c) and returns logits.
"""

from collections.abc import Sequence

from numpy_layers import Array, Weights


def lenet5(
    x: Array, w: Weights, *, subsampling: str = "max", activation: str = "relu"
) -> Array:
    """LeCun et al. 1998, figure 2, on 28x28 pixels: C1 pads, C3 sees all maps."""

    def squash(x: Array, layer: str) -> Array:
        if activation == "prelu":
            return w.prelu(x, f"{layer}_act")
        return getattr(w, activation)(x)

    def subsample(x: Array, layer: str) -> Array:
        if subsampling == "max":
            return w.max_pool(x, 2, 2)
        x = w.average_pool(x, 2)
        if subsampling == "average":
            return x
        scale = w[f"{layer}_scale"]
        return squash(x * scale["kernel"].reshape(-1) + scale["bias"], layer)

    x = squash(w.conv(x, "stage1_conv", pad=2), "stage1_conv")
    x = squash(w.conv(subsample(x, "stage1_pool"), "stage2_conv", pad=0), "stage2_conv")
    x = subsample(x, "stage2_pool")
    x = x.reshape(len(x), -1)
    for layer in ("head_dense1", "head_dense2"):
        x = squash(w.dense(x, layer), layer)
    return w.dense(x, "predictions")


def lenet_gap(x: Array, w: Weights) -> Array:
    """Convolutions of 6, 16 and 120 filters, the mean of the image, 84 units."""
    x = w.max_pool(w.relu(w.conv(x, "stage1_conv", pad=2)), 2, 2)
    x = w.max_pool(w.relu(w.conv(x, "stage2_conv", pad=0)), 2, 2)
    x = w.relu(w.conv(x, "stage3_conv", pad=2))
    x = w.relu(w.dense(x.mean((1, 2)), "head_dense1"))
    return w.dense(x, "predictions")


def mlp(x: Array, w: Weights) -> Array:
    """Two hidden layers on the pixels."""
    x = x.reshape(len(x), -1)
    for layer in ("stage1_dense", "stage2_dense"):
        x = w.relu(w.dense(x, layer))
    return w.dense(x, "predictions")


def simple_cnn(x: Array, w: Weights) -> Array:
    """Two 3x3 convolutions without padding, a pool, 128 units."""
    for layer in ("stage1_conv1", "stage1_conv2"):
        x = w.relu(w.conv(x, layer, pad=0))
    x = w.max_pool(x, 2, 2).reshape(len(x), -1)
    return w.dense(w.relu(w.dense(x, "head_dense1")), "predictions")


def vgg(
    x: Array,
    w: Weights,
    *,
    convolutions: Sequence[int],
    dense: int,
    epsilon: float | None,
) -> Array:
    """Simonyan & Zisserman 2014, table 1.

    Args:
        convolutions: of each stage.
        dense: how many dense layers stand before the classifier.
        epsilon: of the BN between convolution and ReLU; None for no BN.
    """
    for stage, count in enumerate(convolutions, start=1):
        for i in range(1, count + 1):
            layer = f"stage{stage}_conv{i}"
            x = w.conv(x, layer, pad=1)
            if epsilon is not None:
                x = w.batch_norm(x, f"{layer}_bn", epsilon)
            x = w.relu(x)
        x = w.max_pool(x, 2, 2)
    x = x.reshape(len(x), -1)
    for i in range(1, dense + 1):
        x = w.relu(w.dense(x, f"head_dense{i}"))
    return w.dense(x, "predictions")


class ResNet:
    """He et al. 2015, table 1: the paper's form, and what small_resnet makes of it."""

    def __init__(self, w: Weights, epsilon: float, per_pixel: bool = False):
        self.w = w
        self.epsilon = epsilon
        self.per_pixel = per_pixel

    def conv(self, x: Array, layer: str, *, stride: int = 1, pad: int = 0) -> Array:
        x = self.w.conv(x, layer, stride=stride, pad=pad)
        return self.w.batch_norm(x, f"{layer}_bn", self.epsilon)

    def act(self, x: Array, name: str) -> Array:
        return self.w.prelu(x, f"{name}_act") if self.per_pixel else self.w.relu(x)

    def stem(self, x: Array) -> Array:
        return self.act(self.conv(x, "stem_conv", stride=2, pad=3), "stem_conv")

    def basic(self, x: Array, name: str, stride: int) -> Array:
        """3x3, 3x3; the first one has the stride."""
        x = self.conv(x, f"{name}_conv1", stride=stride, pad=1)
        return self.conv(self.act(x, f"{name}_conv1"), f"{name}_conv2", pad=1)

    def bottleneck(self, x: Array, name: str, stride: int) -> Array:
        """1x1, 3x3, 1x1; the first one has the stride."""
        x = self.act(self.conv(x, f"{name}_conv1", stride=stride), f"{name}_conv1")
        x = self.act(self.conv(x, f"{name}_conv2", pad=1), f"{name}_conv2")
        return self.conv(x, f"{name}_conv3")

    def projected_block(self, x: Array, name: str, stride: int, branch) -> Array:
        shortcut = self.conv(x, f"{name}_shortcut", stride=stride)
        return self.act(shortcut + branch(x, name, stride), name)

    def identity_block(self, x: Array, name: str, branch) -> Array:
        added = branch(x, name, 1)
        if self.per_pixel:  # small_resnet's one PReLU more
            added = self.act(added, f"{name}_conv3")
        return self.act(x + added, name)

    def stages(self, x: Array, repeats: Sequence[int], branch, projected: int) -> Array:
        """All stages; the first blocks from stage `projected` on have a projection."""
        for stage, count in enumerate(repeats, start=1):
            for i in range(1, count + 1):
                name = f"stage{stage}_block{i}"
                if i > 1 or stage < projected:
                    x = self.identity_block(x, name, branch)
                else:
                    x = self.projected_block(x, name, 1 if stage == 1 else 2, branch)
        return x


def resnet(x: Array, w: Weights, *, repeats: Sequence[int], bottleneck: bool) -> Array:
    """The paper's ResNet: BN epsilon 1e-5, projections where the shape changes."""
    net = ResNet(w, epsilon=1e-5)
    branch = net.bottleneck if bottleneck else net.basic
    x = w.max_pool(net.stem(x), 3, 2, pad=1)
    x = net.stages(x, repeats, branch, projected=1 if bottleneck else 2)
    return w.dense(x.mean((1, 2)), "predictions")


def small_resnet(x: Array, w: Weights) -> Array:
    """kkweon's: three stages of ResNet50 with PReLU, and a 2x2 mean at the end."""
    net = ResNet(w, epsilon=1e-3, per_pixel=True)
    x = net.stages(w.max_pool(net.stem(x), 3, 2), (3, 4, 6), net.bottleneck, projected=1)
    x = w.average_pool(x, 2)
    return w.dense(x.reshape(len(x), -1), "predictions")


def keras_resnet_v2(x: Array, w: Weights, *, repeats: Sequence[int]) -> Array:
    """keras.applications' ResNet V2: the last block of stages 1 to 3 halves the image."""
    epsilon = 1.001e-5

    def normal(x: Array, layer: str) -> Array:
        return w.relu(w.batch_norm(x, f"{layer}_bn", epsilon))

    x = w.conv(x, "stem_conv", stride=2, pad=3)
    x = w.max_pool(w.zero_pad(x, 1), 3, 2)  # zeros, also among negative values
    for stage, count in enumerate(repeats, start=1):
        for i in range(1, count + 1):
            name = f"stage{stage}_block{i}"
            stride = 2 if i == count and stage < len(repeats) else 1
            ready = normal(x, f"{name}_preact")
            if i == 1:
                x = w.conv(ready, f"{name}_shortcut", pad=0)
            elif stride == 2:
                x = w.max_pool(x, 1, 2)
            added = normal(w.conv(ready, f"{name}_conv1", pad=0), f"{name}_conv1")
            added = w.conv(added, f"{name}_conv2", stride=stride, pad=1)
            x = x + w.conv(normal(added, f"{name}_conv2"), f"{name}_conv3", pad=0)
    x = normal(x, f"stage{len(repeats)}")
    return w.dense(x.mean((1, 2)), "predictions")
