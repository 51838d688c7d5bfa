"""Is a process that benchmarks ask for tasks: tells what there is, then does each that it is asked for (see peers.ts)."""

import json
import sys
import time
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak():
    """Let the system count the most memory held from here on."""
    if CLEAR.exists():
        CLEAR.write_text("5")


def peak():
    """The most bytes that the process has held, where the system tells."""
    if not STATUS.exists():
        return None
    return next(1024 * int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))


def serve(about, tasks):
    """Answer each line of the input, the name of a task, with a line of JSON: milliseconds, memory, what the task returns."""
    print(json.dumps({"about": about, "tasks": list(tasks)}), flush=True)
    for line in sys.stdin:
        forget_peak()
        start = time.perf_counter()
        told = tasks[line.strip()]()
        answer = {"ms": 1000 * (time.perf_counter() - start), "peak": peak()}
        print(json.dumps({**answer, "told": told} if isinstance(told, dict) else answer), flush=True)
