"""The served model in a process that knows only TensorFlow: answers, latency, memory.

Comes in: a Model artifact. Goes out: a dict of facts and the reasons why it must not be served.
No Keras, no task, no pipeline is imported here: what TensorFlow Serving has is all there is.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import tensorflow as tf

from penstock.tfx.config import InfraConfig
from penstock.tfx.training import golden

WARM_UP_REQUESTS = 3
FAILS = "the model fails:"
TIMED_REQUESTS = 100
TIMED_SECONDS = 1.0
"""Requests are timed until either is reached."""


def validate(model: Path, limits: InfraConfig) -> dict:
    """Loads `saved_model/` and asks it the golden requests, together and one by one.

    Returns:
        passed, reasons, measured_failure (whether a measured limit was broken, which another
        moment or machine may keep), examples, latency_ms {p50, p99, requests} or None, memory_mb
        {before_load, growth_by_load, peak}; times are of warm requests with one example, in
        milliseconds.
    """
    requests, expected = golden.load(model)
    before = _resident_mb()
    served = tf.saved_model.load(str(model / "saved_model"))
    answer = served.signatures["serving_default"]
    loaded = _resident_mb()
    reasons = [
        f"All together: {sentence}" for sentence in _compare(answer, requests, expected, limits)
    ]
    count = len(next(iter(requests.values())))
    for index in range(count):
        row = slice(index, index + 1)
        found = _compare(answer, _rows(requests, row), _rows(expected, row), limits, expected)
        reasons += [f"Example {index} alone: {sentence}" for sentence in found]
    # Requests that fail cannot be timed.
    latency = None if any(FAILS in r for r in reasons) else _latency(answer, requests, count)
    memory = {
        "before_load": round(before, 1),
        "growth_by_load": round(loaded - before, 1),
        "peak": round(_peak_mb(), 1),
    }
    broken = _limit_faults(latency, memory, limits)
    reasons += broken
    return {
        "passed": not reasons,
        "reasons": reasons,
        "measured_failure": bool(broken),
        "examples": count,
        "latency_ms": latency,
        "memory_mb": memory,
    }


def _compare(answer, requests, expected, limits, stored=None):
    try:
        received = {name: value.numpy() for name, value in _ask(answer, requests).items()}
    except tf.errors.OpError as error:
        return [f"{FAILS} {_first_line(error.message)}"]
    return golden.differences(expected, received, limits.relative_tolerance, stored)


def _ask(answer, requests):
    signature = answer.structured_input_signature[1]
    return answer(**{n: tf.constant(v, signature[n].dtype) for n, v in requests.items()})


def _first_line(message):
    """The line that says what is wrong; TensorFlow puts where it happened before it."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    skipped = ("Graph execution error", "Detected at node", "<stack traces")
    return next((line for line in lines if not line.startswith(skipped)), "unknown error")


def _rows(tensors, rows):
    return {name: value[rows] for name, value in tensors.items()}


def _latency(answer, requests, count):
    """Percentiles over single requests, the making of tensors from bytes included."""
    singles = [_rows(requests, slice(index, index + 1)) for index in range(count)]
    for number in range(WARM_UP_REQUESTS):
        _ask(answer, singles[number % count])
    times, begun = [], time.perf_counter()
    while len(times) < TIMED_REQUESTS and time.perf_counter() - begun < TIMED_SECONDS:
        start = time.perf_counter()
        for value in _ask(answer, singles[len(times) % count]).values():
            value.numpy()
        times.append(1000 * (time.perf_counter() - start))
    p50, p99 = np.percentile(times, [50, 99]).tolist()
    return {"p50": round(p50, 3), "p99": round(p99, 3), "requests": len(times)}


def _limit_faults(latency, memory, limits):
    faults = []
    if latency and limits.max_latency_ms is not None and latency["p99"] > limits.max_latency_ms:
        faults.append(
            f"The 99th percentile of latency is {latency['p99']:.1f} ms, above the limit of "
            f"{limits.max_latency_ms:g} ms (`infra.max_latency_ms`)."
        )
    if limits.max_memory_mb is not None and memory["peak"] > limits.max_memory_mb:
        faults.append(
            f"The serving process's memory peaks at {memory['peak']:.0f} MB, above the limit of "
            f"{limits.max_memory_mb:g} MB (`infra.max_memory_mb`)."
        )
    return faults


def _resident_mb():
    return psutil.Process().memory_info().rss / 2**20


def _peak_mb():
    """Of the whole process, TensorFlow included; Linux counts kilobytes, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
