"""Writing a fixture, or comparing it with one that is already there."""

import base64
import json
import math
import sys
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).parent / "fixtures"


def significant(value: float, digits: int = 9) -> float:
    """The value rounded to so many significant digits, which keeps the JSON small."""
    return float(f"{value:.{digits}g}")


def write_or_check(name: str, made: dict, check: bool) -> None:
    """Write `made` to fixtures/`name`, one line for each innermost list; with `check`, compare and write nothing.

    Numbers may differ by 1e-5 of the largest in their list, or 1e-7 (other processors round differently, and small numbers
    may be differences of large ones); all else must be equal.
    Exits with status 1 and the list of differences when the check fails.
    """
    path = FIXTURES / name
    if not check:
        path.write_text(_layout(made, 0) + "\n")
        print(f"wrote {path.name}: {path.stat().st_size} bytes")
        return
    differences = list(_differences(json.loads(path.read_text()), made, name))
    if differences:
        sys.exit("\n".join(differences[:20] + [f"{len(differences)} differences in all"]))
    print(f"{path.name}: equal")


def _layout(value, depth: int) -> str:
    """JSON with short lines for objects, and lists of plain values on one line."""
    pad = "  " * (depth + 1)
    if isinstance(value, dict):
        inner = [f"{pad}{json.dumps(key)}: {_layout(item, depth + 1)}" for key, item in value.items()]
        brackets = "{}"
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        inner = [pad + _layout(item, depth + 1) for item in value]
        brackets = "[]"
    else:
        return json.dumps(value, allow_nan=False)
    return brackets[0] + "\n" + ",\n".join(inner) + "\n" + "  " * depth + brackets[1]


def _differences(stored, made, where: str, largest: float = 0):
    if isinstance(stored, dict) and isinstance(made, dict):
        if stored.keys() != made.keys():
            yield f"{where}: stored keys {sorted(stored)}, now {sorted(made)}"
        for key in stored.keys() & made.keys():
            yield from _differences(stored[key], made[key], f"{where}.{key}")
    elif isinstance(stored, list) and isinstance(made, list):
        if len(stored) != len(made):
            yield f"{where}: stored {len(stored)} items, now {len(made)}"
        largest = max((abs(a) for a in stored if isinstance(a, (int, float))), default=0)
        for i, (a, b) in enumerate(zip(stored, made)):
            yield from _differences(a, b, f"{where}[{i}]", largest)
    elif isinstance(stored, float) or isinstance(made, float):
        numbers = all(isinstance(x, (int, float)) for x in (stored, made))
        if not numbers or not math.isclose(stored, made, rel_tol=1e-5, abs_tol=max(1e-7, 1e-5 * largest)):
            yield f"{where}: stored {stored}, now {made}"
    elif stored != made:
        yield f"{where}: stored {stored!r}, now {made!r}"


def wave(shape, seed: int) -> np.ndarray:
    """Repeatable values from -1 up to but not with 1, exact in single precision."""
    count = int(np.prod(shape, dtype=int))
    state = seed
    values = np.empty(count, np.float32)
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values[i] = (state >> 16) / 2**15 - 1
    return values.reshape(shape)


def pack(values: np.ndarray) -> list:
    """Shape, largest magnitude, and parts of it in 16 bits, as base64."""
    values = np.asarray(values, np.float64)
    assert np.isfinite(values).all()
    scale = float(f"{np.abs(values).max():.9g}") if values.size else 0.0
    parts = np.round(values / scale * 32767) if scale else np.zeros(values.shape)
    return [list(values.shape), scale, base64.b64encode(parts.astype("<i2").tobytes()).decode()]


def unpack(packed: list) -> np.ndarray:
    shape, scale, text = packed
    return np.frombuffer(base64.b64decode(text), "<i2").reshape(shape) / 32767 * scale
