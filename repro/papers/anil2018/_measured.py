"""What a real run left behind, as numbers.

The leading underscore says that it is no experiment.
"""

from repro.codistill.replayed import Learned
from repro.codistill.settings import RunFile
from repro.codistill.shared import GroupFolder, snapshot_parameters
from simulation.schedule import Kind, Schedule


def moved_bytes(run: RunFile, recorded: Schedule) -> int | None:
    """Bytes that all processes sent after their beginning, and those of the snapshots that every worker took in.

    None where the system does not count what is sent.
    """
    total = 0
    for group in range(run.protocol.groups):
        ended = GroupFolder(run.folder, group).ended()
        assert ended is not None
        if None in ended["sent_bytes"]:
            return None
        total += sum(ended["sent_bytes"])
    if run.protocol.groups > 1 and not run.exchanges_predictions:
        snapshot = max((run.folder / "group-0").glob("snapshot-*")).stat().st_size
        total += len(recorded.events.of(Kind.ADOPT)) * snapshot * run.workers
    return total


def weights_apart(run: RunFile, learned: Learned) -> float:
    """The largest difference of a weight between the run's last snapshots and their replay."""
    found = 0.0
    for group, parameters in enumerate(learned.parameters):
        last = snapshot_parameters(run.folder, group, run.updates)
        found = max(found, *(float((parameters[name].cpu() - tensor).abs().max()) for name, tensor in last.items()))
    return found
