"""Named points at which a test can kill the process, to prove that nothing is lost there.

`PENSTOCK_CRASH_AT=commit:renamed@Trainer` kills the process with SIGKILL when it reaches that point
in the step `Trainer` (without `@STEP`: in any). Without the variable a point costs one look-up.
"""

import os
import signal

POINTS = (
    "execution:recorded",
    "worker:started",
    "worker:executed",
    "worker:digested",
    "worker:synced",
    "commit:before-rename",
    "commit:renamed",
    "commit:recorded",
    "push:before-copy",
    "push:copied",
    "push:manifest",
    "push:renamed",
    "push:trimmed",
)
"""Every point, in the order in which a run reaches them."""


def reach(name: str, step: str = "") -> None:
    """Dies here if the environment says so."""
    wanted = os.environ.get("PENSTOCK_CRASH_AT")
    if wanted and wanted in (name, f"{name}@{step}"):
        os.kill(os.getpid(), signal.SIGKILL)
