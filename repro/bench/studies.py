"""``workflow.paper``: minutes of every study on record at scale paper, summed from its own ``timing.csv``.

Nothing is run. The minutes are of one core or GPU, on the hardware that the study was made on.
"""

from repro import results
from repro.bench import Measurement
from repro.machine import ROOT


def measure() -> list[Measurement]:
    """One row a study."""
    return [
        Measurement(
            "workflow.paper",
            f"{study.meta['paper']}.{study.meta['experiment']}, data {study.data}",
            sum(row["seconds"] for row in study.timing) / 60,
            "min",
            hardware="; ".join(sorted({str(row["hardware"]) for row in study.timing})),
        )
        for study in results.studies(ROOT / "results" / "paper")
    ]
