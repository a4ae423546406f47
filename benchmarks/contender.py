"""One contender in a process of its own: prepares, warms up, runs on request.

It reads requests and writes responses as lines of JSON:

    {"prepare": "module:function", "work": {...}}  ->  {"facts": {...}}
    {"do": "run"}                                  ->  {"seconds": ..., "parts": {...}}
    {"do": "end"}                                  ->  {"peak_bytes": ...}

or {"error": ...} after a failure.
"""

import importlib
import json
import os
import resource
import sys
import time
import traceback
from typing import TextIO

from benchmarks.task import Task, Work


def main() -> None:
    responses = response_stream()
    first = json.loads(sys.stdin.readline())
    try:
        work = Work(**{**first["work"], "shape": tuple(first["work"]["shape"])})
        task = prepare_task(first["prepare"], work)
        respond(responses, {"facts": task.facts})
        for line in sys.stdin:
            if json.loads(line)["do"] == "end":
                respond(responses, {"peak_bytes": peak_bytes()})
                break
            respond(responses, time_round(task))
    except Exception as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        respond(responses, {"error": text[:200]})


def response_stream() -> TextIO:
    """Standard output for responses only; the output of libraries goes to stderr."""
    responses = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return responses


def prepare_task(target: str, work: Work) -> Task:
    """The contender's task, after its warm-up rounds."""
    module, function = target.split(":")
    prepare = getattr(importlib.import_module(module), function)
    task = prepare(work)
    for _ in range(work.warm_ups):
        task.run()
    return task


def time_round(task: Task) -> dict[str, object]:
    start = time.perf_counter()
    parts = task.run() or {}
    elapsed = time.perf_counter() - start
    return {"seconds": sum(parts.values()) if parts else elapsed, "parts": parts}


def peak_bytes() -> int:
    """The peak memory of this process, or of one that it started."""
    whose = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peak = max(resource.getrusage(who).ru_maxrss for who in whose)
    return peak if sys.platform == "darwin" else peak * 1024


def respond(stream: TextIO, content: dict[str, object]) -> None:
    print(json.dumps(content), file=stream, flush=True)


if __name__ == "__main__":
    main()
