"""``simulation.*`` and ``replay.*``: the simulator against SimPy, a plain loop, bounds of time and memory, printed
numbers, and real steps of this machine.

``simulation.bench`` measures, and says there what stands beside what; its rows are put on record here.
"""

from repro.bench import Measurement
from simulation import bench


def measure() -> list[Measurement]:
    """All rows of ``simulation.*`` and ``replay.*``, in about a minute.

    Raises:
        simulation.errors.UserError: SimPy, the yardstick of the engines, is not installed.
    """
    return [measurement(row) for row in bench.rows()]


def measurement(row: bench.Row) -> Measurement:
    """One row of the simulator's bench."""
    return Measurement(row["benchmark"], row["quantity"], float(row["value"]), row["unit"], row["target"])
