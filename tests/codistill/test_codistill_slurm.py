"""The Slurm profile, the commands it leads to, and a real Slurm of two nodes where one can be started."""

import importlib.util
import os
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from repro.codistill.local import launch
from repro.codistill.recorded import recorded_schedule
from repro.codistill.replayed import learn
from repro.codistill.task import load_task
from tests.codistill.conftest import codistilled, describe_run, digests, dump, sync
from tests.codistill.slurm_cluster import Cluster, free_ports, missing

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "profiles" / "slurm"
PLUGIN = importlib.util.find_spec("snakemake_executor_plugin_slurm") is not None
needs_plugin = pytest.mark.skipif(not PLUGIN, reason="no snakemake-executor-plugin-slurm: see requirements-slurm.txt")
needs_slurm = pytest.mark.skipif(bool(missing()), reason=missing())


def test_the_profile_starts_a_program_once_whatever_its_gpus():
    profile = yaml.safe_load((PROFILE / "config.yaml").read_text())
    assert profile["executor"] == "slurm"
    assert profile["default-resources"]["tasks_per_gpu"] == 0
    default = yaml.safe_load((ROOT / "profiles" / "default" / "config.yaml").read_text())
    shared = default.keys() & profile.keys()
    assert {key: default[key] for key in shared} == {key: profile[key] for key in shared}
    assert default.keys() - shared == {"cores"}  # a cluster has no cores of this machine's
    rules = (ROOT / "workflow" / "rules" / "train.smk").read_text()
    assert 'gpu=1 if (group[0].arm.device or RUN.device) == "cuda" else 0' in rules
    assert "cpus_per_task=group[0].arm.processes" in rules
    assert "snakemake-executor-plugin-slurm" in (ROOT / "requirements-slurm.txt").read_text()


class Resources(dict):
    __getattr__ = dict.get


@needs_plugin
@pytest.mark.parametrize(
    ("gpus", "said", "unsaid"), [(0, ["--ntasks=1", "--cpus-per-task=1"], ["gpu"]), (2, ["--gpus=2"], ["ntasks"])]
)
def test_the_submit_command(gpus, said, unsaid):
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    defaults = yaml.safe_load((PROFILE / "config.yaml").read_text())["default-resources"]
    job = SimpleNamespace(resources=Resources(defaults | {"gpu": gpus}), threads=1)
    where = {
        "run_uuid": "u",
        "slurm_logfile": "log",
        "comment_str": "c",
        "account": "",
        "partition": "",
        "workdir": ".",
    }
    command = get_submit_command(job, where) + set_gres_string(job)  # as the plugin joins them
    for words in ["--mem 4000", "-t 720", *said]:
        assert words in command
    for words in unsaid:
        assert words not in command


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started


@needs_slurm
def test_two_groups_of_two_nodes_each_codistil_under_slurm(cluster, tmp_path):
    here = describe_run(tmp_path / "here", codistilled(sync(2)))
    launch(here)
    run = here.model_copy(update={"folder": tmp_path / "there"})
    file = dump(run, tmp_path / "run.yaml")
    jobs = []
    for group, port in enumerate(free_ports(2)):
        program = f"{sys.executable} -m torch.distributed.run --nnodes 2 --nproc-per-node 1 --local-addr 127.0.0.1 "
        program += f"--rdzv-backend c10d --rdzv-endpoint 127.0.0.1:{port} --rdzv-id group{group} "
        program += f"-m repro.codistill run {file} --group {group}"
        script = f"#!/bin/sh\nexport PYTHONPATH={ROOT} OMP_NUM_THREADS=1\nsrun --chdir {ROOT} {program}\n"
        path = tmp_path / f"group{group}.sh"
        path.write_text(script)
        out = tmp_path / f"group{group}.out"
        submit = ["sbatch", "--wait", "--nodes", "2", "--ntasks-per-node", "1", "--output", str(out), str(path)]
        jobs.append(subprocess.Popen(submit, env=cluster.environment))
    statuses = [job.wait(600) for job in jobs]
    said = "".join((tmp_path / f"group{g}.out").read_text() for g in range(2))
    assert statuses == [0, 0], said
    assert digests(run) == digests(here)
    learned = learn(load_task(run.task, run.task_settings), run, recorded_schedule(run))
    assert learned.checked
    assert not learned.mismatches


WORKFLOW = """
rule all:
    input: "zero", "two"

rule work:
    output: "{{name}}"
    threads: 1
    resources:
        gpu=lambda wildcards: 2 if wildcards.name == "two" else 0
    shell: "echo $SLURM_JOB_ID >> starts-{{wildcards.name}}; {python} -c 'import repro.codistill' && touch {{output}}"
"""


@needs_slurm
@needs_plugin
def test_snakemake_runs_its_jobs_under_slurm(cluster, tmp_path):
    (tmp_path / "Snakefile").write_text(WORKFLOW.format(python=sys.executable))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--workflow-profile",
        str(PROFILE),
        "--slurm-status-command",
        "squeue",
    ]
    command += ["--latency-wait", "10", "--slurm-init-seconds-before-status-checks", "1"]
    # Given on the command line they replace the profile's: those of the cluster here, and the rest as the profile says.
    profile = yaml.safe_load((PROFILE / "config.yaml").read_text())["default-resources"]
    here = profile | {"slurm_account": "none", "slurm_partition": "main", "runtime": 10, "mem_mb": 500}
    command += ["--default-resources", *(f"{name}={value}" for name, value in here.items())]
    name = f"test-{uuid.uuid4().hex[:8]}"
    env = cluster.environment | {"PYTHONPATH": str(ROOT), "SLURM_JOB_NAME": name, "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    starts = [(tmp_path / f"starts-{name}").read_text().split() for name in ("zero", "two")]
    assert [len(ids) for ids in starts] == [1, 1]  # with two GPUs, too
    assert starts[0] != starts[1]
    assert os.access(tmp_path / "two", os.R_OK)
