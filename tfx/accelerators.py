"""Whether this machine shows an accelerator: from device files, without importing TensorFlow."""

import glob
import os


def accelerator_visible() -> bool:
    """True where an NVIDIA, AMD or TPU device file exists and is not hidden by the environment."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    patterns = ("/dev/nvidia[0-9]*", "/dev/kfd", "/dev/accel[0-9]*")
    return any(glob.glob(pattern) for pattern in patterns)
