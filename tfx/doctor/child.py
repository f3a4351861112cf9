"""The checks that need TensorFlow and Beam, in a process of their own; imports of them lie inside.

Comes in: nothing. Goes out on the descriptor that is stdout at the start: one JSON line for each
finding, as soon as it is there. What libraries print goes to stderr.
"""

import glob
import json
import os
import shutil
from dataclasses import asdict

from penstock.tfx.doctor.finding import Finding, fix, ok, tip
from penstock.tfx.doctor.installation import NVIDIA_LIBRARY, installed_version

GPU_EXTRA = "`pip install 'penstock[gpu]'` (in a checkout `pip install -e '.[gpu]'`)"


def tensorflow_build() -> Finding:
    """Imports TensorFlow; which build it is."""
    import tensorflow as tf
    from tensorflow.python.util import _pywrap_util_port

    kind = "CUDA" if tf.test.is_built_with_cuda() else "CPU"
    one_dnn = "on" if _pywrap_util_port.IsMklEnabled() else "off"
    return ok(
        "tensorflow",
        f"{tf.__version__}, {kind} build, oneDNN {one_dnn}; processor: {cpu_features() or 'unknown'}",
    )


def cpu_features(cpuinfo: str = "/proc/cpuinfo") -> str:
    """The vector instructions that TensorFlow can use."""
    try:
        with open(cpuinfo) as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return ""
    known = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")
    return " ".join(name.upper() for name in known if name in flags.split())


def computation() -> Finding:
    """A product of matrices, with TensorFlow's kernels and compiled by XLA."""
    import tensorflow as tf

    def product(x):
        return tf.reduce_sum(tf.matmul(x, x))

    expected, ones = 64.0**3, tf.ones([64, 64])
    plain = float(product(ones))
    # `jit_compile` on a function without AutoGraph: nothing here needs rewriting.
    compiled = float(tf.function(product, jit_compile=True, autograph=False)(ones))
    if (plain, compiled) != (expected, expected):
        return fix(
            "computation",
            f"TensorFlow computes wrongly. Expected: {expected:g} (64 times 64 ones, squared). "
            f"Received: {plain:g}, with XLA {compiled:g}. Install TensorFlow again.",
        )
    return ok("computation", "a product of matrices is right, with kernels and with XLA")


def accelerator() -> Finding:
    """What TensorFlow sees of the machine's accelerators."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return judge_accelerator(
        [detail.get("device_name", gpu.name) for detail, gpu in zip(details, gpus, strict=True)],
        driver=nvidia_driver(),
        cuda_build=tf.test.is_built_with_cuda(),
        libraries=installed_version(NVIDIA_LIBRARY) is not None,
        hidden=os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"),
    )


def nvidia_driver() -> bool:
    """Whether this machine has an NVIDIA driver and a device for it."""
    return bool(glob.glob("/dev/nvidia[0-9]*")) or shutil.which("nvidia-smi") is not None


def judge_accelerator(
    gpus: list[str], *, driver: bool, cuda_build: bool, libraries: bool, hidden: bool
) -> Finding:
    """What it means that TensorFlow sees these GPUs (or none).

    Args:
        driver: the machine has an NVIDIA driver.
        cuda_build: TensorFlow was built with CUDA.
        libraries: NVIDIA's libraries are installed as Python packages.
        hidden: the environment hides GPUs.
    """
    if gpus:
        return ok("accelerator", f"TensorFlow sees {len(gpus)}: {', '.join(gpus)}")
    if not driver:
        return tip("accelerator", f"none; training uses {os.cpu_count()} CPU cores")
    if hidden:
        return tip("accelerator", "CUDA_VISIBLE_DEVICES hides the GPUs; unset it to use them")
    seen = "Expected: at least one GPU, since there is an NVIDIA driver. Received: none"
    if not cuda_build:
        return fix("accelerator", f"TensorFlow is built without CUDA. {seen}. Install {GPU_EXTRA}.")
    if not libraries:
        return fix("accelerator", f"NVIDIA's libraries are missing. {seen}. Install {GPU_EXTRA}.")
    return fix(
        "accelerator",
        f"TensorFlow cannot use the GPU. {seen}. Compare the driver's CUDA version in `nvidia-smi` "
        "with TensorFlow's (12.5 or newer is needed), and unset LD_LIBRARY_PATH if it names other "
        "CUDA libraries.",
    )


def beam_runner() -> Finding:
    """A pipeline of two elements really runs."""
    import apache_beam as beam

    from penstock.pipelines.running.beam_runner import new_pipeline

    with new_pipeline() as pipeline:
        elements = pipeline | beam.Create([1, 2], reshuffle=False)
        counted = elements | beam.combiners.Count.Globally()
        counted | beam.Map(_must_be_two)
    return ok("beam", f"{beam.__version__}; a pipeline ran in this process")


def _must_be_two(count: int) -> None:
    if count != 2:
        raise ValueError(f"Beam must count 2 elements. Received: {count}. Install it again.")


CHECKS = {
    "tensorflow": tensorflow_build,
    "computation": computation,
    "accelerator": accelerator,
    "beam": beam_runner,
}
"""In this order; the first that has not answered is the one that hangs or has crashed."""


def main() -> None:
    """Runs all checks."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name, check in CHECKS.items():
        try:
            finding = check()
        except Exception as error:  # a broken installation may raise anything
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            finding = fix(name, f"it does not work: {said}. Install the libraries again.")
        print(json.dumps(asdict(finding)), file=answers, flush=True)


if __name__ == "__main__":
    main()
