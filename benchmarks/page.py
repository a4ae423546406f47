"""`docs/speed.md`, and the tables that `make bench` prints, made from the results."""

from benchmarks.contest import Contender, Goal, Row
from benchmarks.ratios import (
    Ratio,
    goal_ratio,
    machine_share,
    memory_share,
    part_shares,
    product_rate,
    speedup,
    verdict,
)
from benchmarks.results import Results
from benchmarks.rows import AVX2_ROWS, FIT, GROWTH, KERAS, OURS, ROWS, TRAINING
from cnnzoo.models.index import model_info
from tools.pages import table

MEMORY = Goal((KERAS.name,), f"{FIT}: peak memory", 1.0, at_most=True)
NONE = "not measured"

TEXT = """# Speed and memory

Measured on {date} with `{command}`, and written from
[results.json](../benchmarks/results.json), which has the times of every round. To measure
on your machine, run the command; it took {minutes:.0f} minutes here.
`make bench ROWS="small_vgg lrn"` runs some rows only, and with `--update` in `ROWS` they
replace the stored ones.

Times depend on the machine and its load, so compare ratios. The contenders of a row run
in separate processes that take turns for {rounds} rounds, in an order that is reversed
after each round. A ratio is the ratio of the medians; the smallest and the largest ratio
of a single round are in brackets. Compilation and warm-up are not included. All
contenders train on the same number of random images in memory, with Adam and
cross-entropy.

## Goals

{goals}
{about_units}
## Training

![Speed-up of each contender over stock Keras](pictures/speed_training.svg)

{training}

"Limited to AVX2" is the speed-up with `ONEDNN_MAX_CPU_ISA=AVX2` for both contenders,
which makes oneDNN run as on a CPU without AVX-512 and matrix units. "Share of peak rate"
compares with the rate at which this machine multiplies 4096x4096 matrices in the same
precision; a training step counts as three times the network's MACs. cnnzoo can exceed
100 %, since its Winograd convolutions of small images need fewer products. Peak memory is
that of the whole process, including Python and its libraries.

## Start-up

{startup}

## How time and memory grow

{growth}

## The machine

{machine}

Stock Keras is `model.compile` and `model.fit` with a network of stock layers
([peers_keras.py](../benchmarks/peers_keras.py)). PyTorch is the usual training loop with
channels last, for bfloat16 under `torch.autocast`, with and without `torch.compile`
([peers_torch.py](../benchmarks/peers_torch.py)). cnnzoo is the same `fit` after
`cnnzoo.configure()`, in the precision that it chooses for the machine.
"""


def goal_table(results: Results) -> str:
    """One line per goal of the rows that were run."""
    lines = []
    for row in ROWS.values():
        if row.name not in results.rows:
            continue
        for goal in row.goals:
            ratio = goal_ratio(results, row, goal)
            value = ratio.value if ratio else None
            lines.append(goal_line(row, goal, with_spread(ratio, goal), value, results))
    for row in (*TRAINING, *AVX2_ROWS):
        if row.name in results.rows:
            share = memory_share(results, row.name, OURS.name, KERAS.name)
            text = f"{share:.2f}" if share else NONE
            lines.append(goal_line(row, MEMORY, text, share, results))
    return table(("work", "against", "goal", "measured", ""), "lllll", lines)


def goal_line(
    row: Row, goal: Goal, measured: str, value: float | None, results: Results
) -> tuple[str, ...]:
    bound = f"at most {goal.bound:g}" if goal.at_most else f"at least {goal.bound:g}x"
    if goal.matrix_units:
        bound += ", with matrix units"
    return row.title, goal.text, bound, measured, verdict(value, goal, results.machine)


def with_spread(ratio: Ratio | None, goal: Goal) -> str:
    if ratio is None:
        return NONE
    unit = "" if goal.at_most else "x"
    return f"{ratio.value:.2f}{unit} ({ratio.low:.2f} to {ratio.high:.2f})"


def training_table(results: Results) -> str:
    """One line per contender of each training row."""
    header = (
        "network",
        "contender",
        "speed-up over stock Keras",
        "limited to AVX2",
        "peak memory / stock Keras",
        "precision",
        "share of peak rate",
        "ms per step",
    )
    lines = [
        training_line(results, row, contender)
        for row in TRAINING
        if row.name in results.rows
        for contender in row.contenders
    ]
    return table(header, "llrrrlrr", lines)


def training_line(results: Results, row: Row, contender: Contender) -> tuple[str, ...]:
    network = row.title.replace(" training", "")
    step = results.find(row.name, contender.name)
    if not step:
        error = results.rows[row.name][contender.name].error
        return network, contender.label, f"{NONE}: {error}", "", "", "", "", ""
    against = row.name, contender.name, KERAS.name
    limited = speedup(results, f"{row.name}_avx2", contender.name, KERAS.name)
    memory = memory_share(results, *against)
    macs = model_info(row.work.network).macs
    share = machine_share(results, row, contender, macs)
    return (
        network,
        contender.label,
        times(speedup(results, *against)),
        times(limited),
        f"{memory:.2f}" if memory else "",
        step.facts["precision"],
        f"{100 * share:.0f} %" if share else "",
        f"{1000 * step.median:,.0f}",
    )


def times(ratio: Ratio | None) -> str:
    if ratio is None:
        return ""
    if ratio.low == ratio.high:
        return f"{ratio.value:.2f}"
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def startup_table(results: Results) -> str:
    """The time of building each network, relative to `keras.applications`."""
    shares = part_shares(results, "build", "cnnzoo", "keras")
    header = ("network", "time / `keras.applications`")
    return table(header, "lr", [(name, times(share)) for name, share in shares.items()])


def machine_lines(results: Results) -> str:
    """Lines about the machine and the settings of each contender."""
    machine = results.machine
    units = "with" if machine["matrix_units"] else "without"
    lines = [
        f"- {machine['cpu']}, {machine['cores']} cores, {units} matrix units for "
        f"bfloat16 ({', '.join(machine['flags'])});",
        f"- {machine['memory_bytes'] / 2**30:.0f} GiB of memory, {machine['system']}, "
        f"Python {machine['python']}; load average before the run {machine['load']};",
    ]
    for precision in ("float32", "bfloat16"):
        rate = product_rate(results, precision)
        if rate:
            lines.append(f"- matrix product, {precision}: {rate / 1e9:,.0f} GFLOP/s;")
    lines.append(f"- {', '.join(versions(results))}; threads: {threads(results)}.")
    return "\n".join(lines)


def versions(results: Results) -> list[str]:
    return sorted(
        {
            f"{package} {version}"
            for contenders in results.rows.values()
            for result in contenders.values()
            for package, version in result.facts.get("versions", {}).items()
        }
    )


def threads(results: Results) -> str:
    """The number of threads per operation, by contender."""
    counts = {
        name: result.facts["threads"]
        for contenders in results.rows.values()
        for name, result in contenders.items()
        if "threads" in result.facts
    }
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def row_lines(row: Row, results: Results) -> str:
    """The output of `make bench` after a row: one line per contender."""
    first = row.contenders[0].name
    lines = []
    for contender in row.contenders:
        result = results.find(row.name, contender.name)
        if not result:
            error = results.rows[row.name][contender.name].error
            lines.append(f"  {contender.name:<24} {NONE}: {error}")
            continue
        against = None
        if contender.name != first:
            against = speedup(results, row.name, first, contender.name)
        lines.append(
            f"  {contender.name:<24} {1000 * result.median:>9,.1f} ms"
            f" {result.peak_bytes / 1e6:>7,.0f} MB"
            f"  {result.facts.get('precision', ''):<8}"
            + (f"  {first} is {times(against)} times as fast" if against else "")
        )
    return "\n".join(lines)


def about_units(results: Results) -> str:
    """A note for machines without matrix units."""
    if results.machine["matrix_units"]:
        return ""
    return """
This CPU has no matrix units for bfloat16. Goals "with matrix units" are set for CPUs
that have them (AMX: Intel Xeon from 2023 on). On this CPU bfloat16 may be slower than
float32, so compare with PyTorch in float32 too, in the next table.
"""


def growth_pictures() -> str:
    return "\n\n".join(
        f"![Time and memory of {growth.title} by {growth.axis}]"
        f"(pictures/speed_{growth.group}.svg)"
        for growth in GROWTH
    )


def speed_page(results: Results) -> str:
    """`docs/speed.md`."""
    return TEXT.format(
        date=results.date,
        command=results.command,
        minutes=results.minutes,
        rounds=results.rounds,
        goals=goal_table(results),
        about_units=about_units(results),
        training=training_table(results),
        startup=startup_table(results),
        growth=growth_pictures(),
        machine=machine_lines(results),
    )
