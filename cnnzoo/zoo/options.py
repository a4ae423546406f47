"""The arguments of `build` and of all builders, written once for editors and `help()`."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Literal, ParamSpec, Protocol, overload

import keras
import numpy as np
from keras import KerasTensor

from cnnzoo.errors import check_known
from cnnzoo.layers.blocks import Activation
from cnnzoo.models.cifar_resnet import Shortcut
from cnnzoo.models.lenet import Subsampling
from cnnzoo.spec import Fit, Geometry, Preprocess, Spec, Stem
from cnnzoo.weights.loading import Weights

P = ParamSpec("P")


@dataclass(frozen=True)
class BuildOptions:
    """What `build` and every builder take, in Keras's order.

    Args:
        include_top: Whether the classifier is drawn.
        weights: None for random ones; what `load_weights` takes: the path of a file, a
            model, a state dict, the tag of weights in the package, such as "mnist"; or
            "imagenet" for the weights of keras.applications, which Keras downloads. If
            they have other classes than `classes`, the classifier is new, and a warning
            says so.
        input_tensor: Tensor that the network is drawn on, in place of an input of its
            own.
        input_shape: Height, width and channels in pixels (channels first where
            `keras.config.image_data_format()` says so); None for the paper's. Height
            and width may be None where the head does not flatten.
        pooling: "avg" or "max" over the image, without the top or at a cut; None for
            feature maps, and for the means of a map's quarters at a cut.
        classes: Number of classes; None for the paper's. Two classes with a "sigmoid"
            make one output, the probability of the second.
        classifier_activation: Activation of the classifier; None returns logits.
        name: Name of the model; None for the network's.
        include_preprocessing: Whether the preprocessing is part of the model, which then
            takes pixels of 0 to 255.
        preprocessing: A mode of `preprocess_input` other than the network's own.
        geometry: How pictures of other sizes become the model's, in training and in
            prediction: "stretch", "crop", "pad", or a `Geometry`; None for that of the
            weights, else "stretch".
        dropout: Rate in place of the paper's, 0 to below 1.
        activation: In place of the paper's, a Keras name, "prelu", or a function.
            Max pools padded with zeros (ResNet's stem, Caffe's pools) assume an
            activation without negative values.
        kernel_initializer: Initializer in place of the paper's.
        bias_initializer: Initializer of all biases in place of the paper's.
        weight_decay: L2 penalty on every convolution and dense kernel, as
            `keras.regularizers.L2` takes it: half of what papers call weight decay.
        kernel_regularizer: Penalty on the same kernels as a Keras name or object, such
            as `keras.regularizers.L1(1e-5)`, in place of `weight_decay`. A file does not
            hold it.
        class_names: One name per class, in the order of the outputs; `save` keeps them.
        cut: A layer of the trunk that all paths go through, where the network ends; or
            several, whose means over the image the classifier stands on.
    """

    include_top: bool = True
    weights: Weights | None = None
    input_tensor: KerasTensor | None = None
    input_shape: tuple[int | None, ...] | None = None
    pooling: Literal["avg", "max"] | None = None
    classes: int | None = None
    classifier_activation: Activation = "softmax"
    name: str | None = None
    _: KW_ONLY
    include_preprocessing: bool = False
    preprocessing: str | Preprocess | None = None
    geometry: Fit | Geometry | None = None
    dropout: float | None = None
    activation: Activation = None
    kernel_initializer: str | keras.Initializer | None = None
    bias_initializer: str | keras.Initializer | None = None
    weight_decay: float | None = None
    kernel_regularizer: str | keras.Regularizer | None = None
    class_names: Sequence[str] | None = None
    cut: str | Sequence[str] | None = None

    def graph_options(self, own: Mapping[str, object]) -> dict[str, object]:
        """Those that decide what is drawn, and the family's `own`, as Python's values."""
        shared = {name: getattr(self, name) for name in GRAPH_OPTIONS}
        return {name: _plain(value) for name, value in {**shared, **own}.items()}


SHARED = tuple(field.name for field in fields(BuildOptions))
BESIDE = (
    *("weights", "input_tensor", "preprocessing", "geometry", "class_names"),
    *("kernel_initializer", "bias_initializer", "kernel_regularizer"),
)
WORDS = {  # of other libraries, for what is an option here under another name
    **dict.fromkeys(("num_classes", "n_classes", "nb_classes", "num_labels"), "classes"),
    **dict.fromkeys(("image_size", "img_size", "input_size", "in_chans"), "input_shape"),
    **dict.fromkeys(("drop_rate", "dropout_rate"), "dropout"),
    "pretrained": "weights",
    "global_pool": "pooling",
    "top_activation": "classifier_activation",
    "include_rescaling": "include_preprocessing",
}
GRAPH_OPTIONS = tuple(name for name in SHARED if name not in BESIDE)  # what is drawn


@dataclass(frozen=True, kw_only=True)
class LeNetOptions(BuildOptions):
    subsampling: Subsampling = "max"


@dataclass(frozen=True, kw_only=True)
class MLPOptions(BuildOptions):
    depth: int = 2
    width: int = 512


@dataclass(frozen=True, kw_only=True)
class SimpleCNNOptions(BuildOptions):
    filters: Sequence[int] = (32, 64)
    pools: int = 1
    dense: Sequence[int] = (128,)
    batch_norm: bool = False
    global_pooling: bool = False


@dataclass(frozen=True, kw_only=True)
class StemOptions(BuildOptions):
    stem: Stem = "paper"


@dataclass(frozen=True, kw_only=True)
class InceptionOptions(StemOptions):
    aux_heads: bool = False


@dataclass(frozen=True, kw_only=True)
class CifarResNetOptions(BuildOptions):
    shortcut: Shortcut = "A"


@dataclass(frozen=True, kw_only=True)
class SmallResNetOptions(BuildOptions):
    shared_slope: bool = False
    last_gamma: float = 0.2


@dataclass(frozen=True, kw_only=True)
class CatalogOptions(
    LeNetOptions,
    MLPOptions,
    SimpleCNNOptions,
    InceptionOptions,
    CifarResNetOptions,
    SmallResNetOptions,
):
    """Every option that some network of the catalog has."""


class Build(Protocol[P]):
    """The type of `build`; a `Spec` of your own may have options of its own."""

    @overload
    def __call__(
        self, model: str | Spec, *args: P.args, **options: P.kwargs
    ) -> keras.Model: ...

    @overload
    def __call__(self, model: Spec, **options: Any) -> keras.Model: ...


def documented(options: Callable[P, BuildOptions]) -> Callable[[Callable], Build[P]]:
    """Decorates `build`: its type and its docstring show every one of the options."""

    def decorate(function: Any) -> Any:
        before, _, after = (inspect.getdoc(function) or "").partition("    **options: ")
        function.__doc__ = before + arguments_doc() + after[after.index("\n") :]
        signature = inspect.signature(function)
        model, *_, own = signature.parameters.values()
        shared = inspect.signature(BuildOptions).parameters.values()
        function.__signature__ = signature.replace(parameters=[model, *shared, own])
        return function

    return decorate


def arguments_doc() -> str:
    """The descriptions of all shared arguments, indented by four."""
    return (inspect.getdoc(BuildOptions) or "").partition("Args:\n")[2]


def split(
    spec: Spec, arguments: Sequence[Any], options: Mapping[str, Any]
) -> tuple[BuildOptions, dict[str, Any]]:
    """The options that all networks share, and those that are the family's own.

    Raises:
        UsageError: The network has no option of that name.
    """
    own = {name: value for name, value in options.items() if name not in SHARED}
    known = [*SHARED, *spec.own_options]
    for name in own:
        check_known(f"option of {spec.name}", name, known, WORDS.get(name))
    shared = {name: value for name, value in options.items() if name in SHARED}
    if "class_names" in shared:
        shared["class_names"] = _plain(shared["class_names"])
    return BuildOptions(*arguments, **shared), own


def _plain(value: object) -> object:
    """NumPy's numbers and arrays as Python's, which a file can hold."""
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value
