"""cnnzoo: the classic convolutional networks in Keras 3.

Importing costs nothing: a name brings its module, and Keras with it, when it is used.
The public names stand in `__init__.pyi`, where editors find them too.
"""

import lazy_loader

__version__ = "0.1.0"

_get_lazily, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_WITHOUT_KERAS = {
    *("Evaluation", "Geometry", "LoadReport", "ModelInfo", "Paper", "Preprocess", "Spec"),
    *("configure", "decode", "likely_label_errors", "list_models", "load_mnist"),
    *("model_info", "scan"),
    *(name for name in __all__ if name.endswith("Error")),
}


def __getattr__(name: str):
    if name in __all__:
        if name not in _WITHOUT_KERAS:
            from cnnzoo.system.runtime import import_keras

            import_keras()
        return _get_lazily(name)
    from difflib import get_close_matches

    known = {other.lower(): other for other in __all__}
    near = get_close_matches(name.lower().replace("_", ""), known, 1, 0.75)
    hint = f"; did you mean {known[near[0]]!r}?" if near else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
