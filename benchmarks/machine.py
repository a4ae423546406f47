"""The machine of a benchmark, as far as it affects the results."""

import os
import platform
from pathlib import Path

from cnnzoo.system.runtime import cores

CPUINFO = Path("/proc/cpuinfo")
MATRIX_UNITS = "amx_bf16"
FLAGS = ("avx2", "avx512f", "avx512_bf16", MATRIX_UNITS)


def describe() -> dict[str, object]:
    """CPU and its features, cores, memory, system, and the load before the first run."""
    text = CPUINFO.read_text(encoding="utf-8") if CPUINFO.exists() else ""
    flags = set(value(text, "flags").split())
    return {
        "cpu": value(text, "model name") or platform.processor() or platform.machine(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "matrix_units": MATRIX_UNITS in flags,
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def value(text: str, key: str) -> str:
    """The first value of a key in the text of /proc/cpuinfo."""
    for line in text.splitlines():
        name, _, content = line.partition(":")
        if name.strip() == key:
            return content.strip()
    return ""
