"""``workflow.ci``: minutes of what must pass before anything lands, ``.ci/run``, in a clean clone of the last commit.

It installs into an environment of its own; data come from ``$REPRO_DATA``, or wherever they are found without it.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from repro.bench import Measurement
from repro.machine import ROOT


def measure() -> list[Measurement]:
    """The row of ``workflow.ci``.

    Raises:
        subprocess.CalledProcessError: there is no commit to clone, or the script failed; it has said why.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary, "clone")
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        start = time.perf_counter()
        subprocess.run([clone / ".ci" / "run"], check=True, env=environment | {"TMPDIR": temporary})
        minutes = (time.perf_counter() - start) / 60
    return [Measurement("workflow.ci", "lint, figures and tests, from a clean clone", minutes, "min", "<= 30")]
