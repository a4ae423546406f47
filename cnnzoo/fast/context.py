"""In what circumstances a layer is called."""

from functools import cache

from keras.src.backend.common import global_state


def learning() -> bool:
    """Whether the call under way was made with `training=True`.

    Keras passes that on only to layers whose `call` asks for it, and keeps it for the
    others in a private place, which is read here and nowhere else.
    """
    context = global_state.get_global_attribute("current_call_ctx")
    return bool(getattr(context, "training", None))


@cache
def on_cpu() -> bool:
    """Whether TensorFlow sees no GPU, for which there are other kernels."""
    import tensorflow as tf

    return not tf.config.get_visible_devices("GPU")
