"""`docs/speed.md`, and the tables that `make bench` prints, made from the results."""

from benchmarks.contest import Contender, Goal, Row
from benchmarks.ratios import (
    Ratio,
    machine_share,
    memory_share,
    part_shares,
    product_rate,
    reached,
    speedup,
    verdict,
)
from benchmarks.results import Results
from benchmarks.rows import (
    FIT,
    GROWTH,
    HELD,
    KERAS,
    OURS,
    ROWS,
    TRAINING,
)
from cnnzoo.models.index import model_info

MEMORY = Goal((KERAS.name,), f"{FIT}: peak memory", 1.0, at_most=True)
NONE = "not measured"

TEXT = """# Speed and memory

Measured on {date} by `{command}` and written from
[results.json](../benchmarks/results.json), which has every round. Run the command on
your machine: here it took {minutes:.0f} minutes, and
`make bench ROWS="small_vgg lrn"` runs some rows only; with `--update` among them, they
take the place of the older ones.

Only ratios count. The contenders of a row are processes that live side by side and take
turns, {rounds} rounds, in an order that turns around each round; a ratio is that
of their medians, and in brackets stand the least and the largest ratio of one round.
Compilation and warm-up come before. Everyone trains on the same number of random images
in memory, with Adam and cross-entropy.

## Goals

{goals}
{about_units}
## Training

![How many times as fast as stock Keras each trains](pictures/speed_training.svg)

{training}

"Held to AVX2" is the same with `ONEDNN_MAX_CPU_ISA=AVX2` for both sides, which is what
the library of convolutions does on a CPU without AVX-512 and matrix units. The last
column but one is the share of the rate at which this machine multiplies 4096x4096
matrices in the same precision; a training step counts three times the network's MACs.
cnnzoo can pass 100 %, since its convolutions of small images take fewer products.
Peak memory is that of the whole process, Python and libraries included.

## Start-up

{startup}

## How time and memory grow

{growth}

## The machine

{machine}

Stock Keras is `model.compile` and `model.fit` on a network of stock layers
([peers_keras.py](../benchmarks/peers_keras.py)); PyTorch is the usual loop, channels
last, under `torch.autocast` for bfloat16, with and without `torch.compile`
([peers_torch.py](../benchmarks/peers_torch.py)). cnnzoo is `cnnzoo.configure()`, the
precision that cnnzoo chooses for the machine, and the same `fit`.
"""


def goal_table(results: Results) -> str:
    """One line per goal of the rows that were run."""
    lines = []
    for row in ROWS.values():
        if row.name not in results.rows:
            continue
        for goal in row.goals:
            found = reached(results, row, goal)
            value = found.value if found else None
            lines.append(goal_line(row, goal, with_spread(found, goal), value, results))
    for row in (*TRAINING, *HELD):
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


def with_spread(found: Ratio | None, goal: Goal) -> str:
    if found is None:
        return NONE
    unit = "" if goal.at_most else "x"
    return f"{found.value:.2f}{unit} ({found.low:.2f} to {found.high:.2f})"


def training_table(results: Results) -> str:
    """One line per contender of each training row."""
    header = (
        "network",
        "who",
        "times as fast as stock Keras",
        "held to AVX2",
        "peak memory, of stock Keras'",
        "precision",
        "of the matrix product's rate",
        "ms a step",
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
    found = results.measured(row.name, contender.name)
    if not found:
        error = results.rows[row.name][contender.name].error
        return network, contender.label, f"{NONE}: {error}", "", "", "", "", ""
    against = row.name, contender.name, KERAS.name
    held = speedup(results, f"{row.name}_avx2", contender.name, KERAS.name)
    memory = memory_share(results, *against)
    macs = model_info(row.work.network).macs
    share = machine_share(results, row, contender, macs)
    return (
        network,
        contender.label,
        times(speedup(results, *against)),
        times(held),
        f"{memory:.2f}" if memory else "",
        found.facts["precision"],
        f"{100 * share:.0f} %" if share else "",
        f"{1000 * found.median:,.0f}",
    )


def times(found: Ratio | None) -> str:
    if found is None:
        return ""
    if found.low == found.high:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def startup_table(results: Results) -> str:
    """The time of building each network, as a share of the other library's."""
    shares = part_shares(results, "build", "cnnzoo", "keras")
    header = ("network", "our time, of `keras.applications`'")
    return table(header, "lr", [(name, times(share)) for name, share in shares.items()])


def machine_lines(results: Results) -> str:
    """Lines about the machine and the settings of each contender."""
    machine = results.machine
    units = "with" if machine["matrix_units"] else "without"
    lines = [
        f"- {machine['cpu']}, {machine['cores']} cores, {units} matrix units for "
        f"bfloat16 ({', '.join(machine['flags'])});",
        f"- {machine['memory_bytes'] / 2**30:.0f} GiB of memory, {machine['system']}, "
        f"Python {machine['python']}; load before the first run {machine['load']};",
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
            for measured in contenders.values()
            for package, version in measured.facts.get("versions", {}).items()
        }
    )


def threads(results: Results) -> str:
    """The number of threads per operation, by contender."""
    found = {
        name: measured.facts["threads"]
        for contenders in results.rows.values()
        for name, measured in contenders.items()
        if "threads" in measured.facts
    }
    return ", ".join(f"{name} {count}" for name, count in found.items())


def row_lines(row: Row, results: Results) -> str:
    """The output of `make bench` after a row: one line per contender."""
    first = row.contenders[0].name
    lines = []
    for contender in row.contenders:
        found = results.measured(row.name, contender.name)
        if not found:
            error = results.rows[row.name][contender.name].error
            lines.append(f"  {contender.name:<24} {NONE}: {error}")
            continue
        against = None
        if contender.name != first:
            against = speedup(results, row.name, first, contender.name)
        lines.append(
            f"  {contender.name:<24} {1000 * found.median:>9,.1f} ms"
            f" {found.peak_bytes / 1e6:>7,.0f} MB  {found.facts.get('precision', ''):<8}"
            + (f"  {first} is {times(against)} times as fast" if against else "")
        )
    return "\n".join(lines)


def about_units(results: Results) -> str:
    """A note for machines without matrix units."""
    if results.machine["matrix_units"]:
        return ""
    return """
This CPU has no matrix units for bfloat16. Goals "with matrix units" are set for CPUs
that have them (AMX: Intel Xeon from 2023 on). Here bfloat16 may be the slower way for
everyone: compare with PyTorch in float32 too, in the next table.
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


def table(header: tuple[str, ...], aligned: str, rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; `aligned` has one l or r per column."""
    rule = [{"l": "---", "r": "---:"}[side] for side in aligned]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))
