"""A real run's recording as a schedule."""

from __future__ import annotations

import json

from repro.codistill.records import read_records, schedule_of
from repro.codistill.settings import RunFile
from repro.codistill.shared import GroupFolder
from repro.errors import UserError
from simulation.protocols import to_dict
from simulation.schedule import Schedule


def recorded_schedule(run: RunFile) -> Schedule:
    """What the groups of a run recorded so far, rolled-back work left out.

    Raises:
        UserError: a group has recorded nothing yet.
    """
    try:
        json.loads((run.folder / "run.json").read_text())["origin"]  # whole, so a run was begun here
    except (OSError, ValueError, KeyError):
        raise UserError(f"{run.folder}: no run was recorded here") from None
    folders = [GroupFolder(run.folder, g) for g in range(run.protocol.groups)]
    records = [read_records(folder.records) for folder in folders]
    one_clock = all(folder.on_the_origins_clock for folder in folders)
    clock = "monotonic" if one_clock else "monotonic, offset by wall clocks at the start"
    return schedule_of(
        records, {"protocol": to_dict(run.protocol), "engine": "processes", "seed": run.seed, "clock": clock}
    )
