"""Protocols check themselves, survive YAML, and say in one line what is wrong."""

import subprocess
import sys

import pytest

from simulation.errors import UserError
from simulation.protocols import (
    AsyncSGD,
    BackupWorkers,
    Codistillation,
    LocalSGD,
    StaleSynchronous,
    SyncSGD,
    check_run_length,
    from_dict,
    to_dict,
)

EXAMPLES = [
    SyncSGD(4),
    SyncSGD(4, "parameter_servers"),
    BackupWorkers(10, 2, late="finish"),
    AsyncSGD(3),
    StaleSynchronous(5, 2),
    LocalSGD(4, 8, momentum="average"),
    Codistillation(2, SyncSGD(4), 50, 100, pickup="latest"),
    Codistillation(3, LocalSGD(4, 5), 50),
    Codistillation(2, SyncSGD(1), 1, exchange="predictions"),
]


@pytest.mark.parametrize("protocol", EXAMPLES, ids=lambda p: type(p).__name__)
def test_plain_data_and_back(protocol):
    assert from_dict(to_dict(protocol)) == protocol


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SyncSGD(0), "SyncSGD.workers"),
        (lambda: SyncSGD(True), "SyncSGD.workers"),
        (lambda: SyncSGD(2, "gossip"), "allreduce, parameter_servers"),
        (lambda: BackupWorkers(4, 0), "without backups it is SyncSGD"),
        (lambda: StaleSynchronous(1, 3), "use AsyncSGD"),
        (lambda: StaleSynchronous(2, -1), "bound_steps"),
        (lambda: LocalSGD(4, 0), "interval_steps"),
        (lambda: Codistillation(1, SyncSGD(1), 5), "groups"),
        (lambda: Codistillation(2, Codistillation(2, SyncSGD(1), 5), 5), "cannot run inside a group"),
        (lambda: Codistillation(2, LocalSGD(2, 4), 10), "not a multiple"),
        (lambda: Codistillation(2, AsyncSGD(2), 5, exchange="predictions"), "AsyncSGD does not"),
        (lambda: Codistillation(2, LocalSGD(2, 4), 8, exchange="predictions"), "only averagings"),
        (lambda: Codistillation(2, SyncSGD(2), 8, exchange="predictions", pickup="latest"), "no effect"),
        (lambda: check_run_length(Codistillation(2, SyncSGD(2), 8), 8), "the run ends at 8"),
        (lambda: check_run_length(SyncSGD(2), 0), "updates"),
        (lambda: from_dict({"workers": 3}), "needs a `kind`"),
        (lambda: from_dict({"kind": "Gossip"}), "protocol.kind"),
        (lambda: from_dict({"kind": "SyncSGD", "wrokers": 3}, "run.yaml"), "run.yaml.wrokers"),
        (lambda: from_dict({"kind": "SyncSGD"}), "needs 'workers'"),
        (
            lambda: from_dict({"kind": "Codistillation", "groups": 2, "interval_steps": 1, "within": {"kind": "x"}}),
            "protocol.within.kind",
        ),
    ],
)
def test_refusals_are_one_clear_line(make, says):
    with pytest.raises(UserError) as caught:
        make()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_boundaries():
    protocol = Codistillation(2, SyncSGD(1), 50, burn_in_steps=120)
    assert (protocol.first_adoption, protocol.first_publication) == (150, 100)
    assert Codistillation(2, SyncSGD(1), 50).first_adoption == 50
    local = Codistillation(2, LocalSGD(4, 10), 50, burn_in_steps=51)
    assert (local.interval_updates, local.first_adoption) == (5, 10)


def test_totals():
    assert Codistillation(3, BackupWorkers(4, 2), 1).total_workers == 18
    assert LocalSGD(4, 8).steps_per_update == 8


def test_import_is_light():
    code = "import sys, simulation, simulation.protocols; sys.exit(bool({'torch','numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
