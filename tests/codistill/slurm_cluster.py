"""A Slurm of two nodes on this machine, from Debian's slurm-wlm and munge, for as long as a test needs it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch", "srun", "scontrol", "sinfo")

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
GresTypes=gpu
MinJobAge=600
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port1} CPUs=4 RealMemory=16000 Gres=gpu:2
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={port2} CPUs=4 RealMemory=16000 Gres=gpu:2
PartitionName=main Nodes=node1,node2 Default=YES MaxTime=60 State=UP OverSubscribe=YES
"""


def missing() -> str:
    """What keeps a cluster from being started here; empty if nothing."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "Slurm's daemons start as root alone"


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Cluster:
    """Start with `with`; `environment` is what Slurm's commands need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        folder = self.folder
        for name in ("munge", "state", "spool-node1", "spool-node2"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)
        port, port1, port2 = free_ports(3)
        text = CONFIGURATION.format(host=socket.gethostname(), folder=folder, port=port, port1=port1, port2=port2)
        (folder / "slurm.conf").write_text(text)
        # Cards in name only: what is tested is who starts what.
        (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        # The executor plugin starts srun without any variable of Slurm's; here the configuration is not in /etc.
        srun = folder / "bin" / "srun"
        srun.parent.mkdir()
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        self.environment["PATH"] = f"{srun.parent}:{self.environment['PATH']}"
        munge = folder / "munge"
        munge.chmod(0o755)
        subprocess.run(["mungekey", "--create", f"--keyfile={munge}/key"], check=True)
        names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self._start(["munged", "--foreground", "--force", *(f"--{option}={munge}/{n}" for option, n in names.items())])
        self._until(lambda: (munge / "socket").exists(), "munged")
        self._start(["slurmctld", "-D", "-c"])
        for node in ("node1", "node2"):
            self._start(["slurmd", "-D", "-N", node])
        self._until(self._idle, "the nodes")

    def __exit__(self, *_: object) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def run(self, *command: str, timeout_s: float = 300.0) -> subprocess.CompletedProcess[str]:
        """One of Slurm's commands, to its end."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=timeout_s
        )

    def _start(self, command: list[str]) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as out:
            self._daemons.append(subprocess.Popen(command, env=self.environment, stdout=out, stderr=out))

    def _idle(self) -> bool:
        return self.run("sinfo", "--noheader", "--format=%D %t").stdout.split() == ["2", "idle"]

    def _until(self, true: object, what: str) -> None:
        deadline = time.monotonic() + 90
        while not true():  # type: ignore[operator]
            if time.monotonic() > deadline:
                logs = "".join(path.read_text()[-1500:] for path in self.folder.glob("*.[lo][ou][gt]"))
                raise RuntimeError(f"{what} did not start: {logs}")
            time.sleep(0.2)
