"""Where the time of a training step goes: `python -m benchmarks.profile small_vgg`.

oneDNN, which computes TensorFlow's convolutions and matrix products on x86, prints the
time of each call (`ONEDNN_VERBOSE`). Calls that run in parallel count in full, so their
sum may exceed the time of the step. TensorFlow's own element-wise operations and the
optimizer are not included.
"""

import argparse
import os
import subprocess
import sys
from collections import defaultdict

STEPS = 4
MARK = "seconds per step:"


def train(network: str, batch: int, *, stock: bool) -> None:
    """Trains for 2 * STEPS steps, and prints the time per step of the second half."""
    import keras

    import cnnzoo
    from benchmarks.task import Work
    from benchmarks.train_keras import compile_model, training

    model = cnnzoo.build(network)
    if stock:
        model = keras.models.clone_model(model)  # with stock layers
    compile_model(model)
    shape, classes = model.input_shape[1:], model.output_shape[-1]
    task = training(model, Work(network, shape, batch, STEPS, classes), "float32")
    task.run()
    print(MARK, "warm", flush=True)
    parts = task.run() or {}
    print(MARK, parts["steps"] / STEPS, flush=True)


def sum_calls(lines: list[str]) -> tuple[float, dict[str, float]]:
    """Milliseconds per step, in total and per kind of call.

    A line of oneDNN is `onednn_verbose,...,exec,cpu,KIND,IMPLEMENTATION,DIRECTION,...`
    and ends with milliseconds.
    """
    marks = [i for i, line in enumerate(lines) if line.startswith(MARK)]
    kinds: dict[str, float] = defaultdict(float)
    for line in lines[marks[0] : marks[1]]:
        fields = line.split(",")
        if "exec" in fields:
            start = fields.index("exec")
            kind, direction = fields[start + 2], fields[start + 4]
            name = f"{kind}, {direction}" if kind == "convolution" else kind
            kinds[name] += float(fields[-1]) / STEPS
    return 1000 * float(lines[marks[1]].removeprefix(MARK)), kinds


def profile_table(network: str, batch: int, *, stock: bool) -> str:
    """A Markdown table of the parts of a step, the longest first."""
    command = [sys.executable, "-m", "benchmarks.profile", network, "--batch", str(batch)]
    child = subprocess.run(
        [*command, "--child", *(["--stock"] if stock else [])],
        env={**os.environ, "ONEDNN_VERBOSE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    step, kinds = sum_calls(child.stdout.splitlines())
    ranked = sorted(kinds.items(), key=lambda item: -item[1])
    rows = [f"| {kind} | {time:,.0f} | {time / step:.0%} |" for kind, time in ranked]
    header = f"| {network}, {'stock Keras' if stock else 'cnnzoo'} | ms | share |"
    return "\n".join([header, "|---|---:|---:|", f"| step | {step:,.0f} | 100% |", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", help="catalog name")
    parser.add_argument("--batch", type=int, default=128, help="images per step")
    parser.add_argument("--stock", action="store_true", help="use Keras's own layers")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        train(args.network, args.batch, stock=args.stock)
    else:
        print(profile_table(args.network, args.batch, stock=args.stock))


if __name__ == "__main__":
    main()
