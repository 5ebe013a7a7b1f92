"""Predict every usable public scaling row and show the error, whatever it is.

Each prediction says whether its row helped to make it (``in``: fitted to it, or the base it is measured
from) or not (``out``). The targets were set before the predictions were made. Rows that cannot be predicted
are listed with the reason (``unpredicted``). Three kinds of prediction:

* a measured all-reduce table, without every other point, interpolated there;
* the parameter-server law fitted to one-GPU nodes, carried over to nodes of eight, which reach the servers
  as one: the cluster that `fit` writes, given such nodes, and priced as a user's would be (`costs.cost`);
* scaling efficiency from specifications alone: shelf clusters and workloads, nothing fitted.
"""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import replace

from simulation import collectives
from simulation.cluster import Level
from simulation.costs import cost
from simulation.description import load_cluster, load_workload
from simulation.fit import Fit, ServerLaw, as_cluster, fit
from simulation.links import Table
from simulation.predictions import (
    IDENTITIES,
    REAL,
    SERVERS_CARRIED,
    SERVERS_FITTED,
    SERVERS_OTHER,
    TABLES,
    Prediction,
)
from simulation.processes import launch
from simulation.protocols import SyncSGD
from simulation.published_rows import Row, published_rows, throughputs, value_of
from simulation.specifications import scalings
from simulation.workload import Workload

# Measured tables


def _table(rows: Iterable[Row]) -> Table:
    points = sorted((float(r.model.split()[0]), (r.value or 0.0) * 1e-6) for r in rows)
    return Table(tuple(b for b, _ in points), tuple(s for _, s in points))


def table_predictions() -> list[Prediction]:
    """Both halves of each nccl-tests table, predicted from the other half."""
    rows = [r for r in published_rows().values() if r.quantity == "time out-of-place" and r.unit == "us"]
    found = []
    for where in ("GitHub thread 3484", "GitHub thread 176", "GitHub thread 43"):
        mine = [r for r in rows if r.where == where]
        ids = {float(r.model.split()[0]): r for r in mine}
        found += [
            Prediction(
                TABLES,
                f"{ids[size].system} ({where})",
                ids[size].id,
                "out",
                f"{size:.0f} B",
                "time",
                "us",
                seconds * 1e6,
                predicted * 1e6,
            )
            for size, seconds, predicted in _table(mine).held_out()
        ]
    return found


# Parameter servers


def _step_s(row: Row) -> float:
    """Step time of a throughput row."""
    assert row.workers is not None
    assert row.batch_per_worker is not None
    return row.workers * row.batch_per_worker / (row.value or 0.0)


def server_fit(rows: list[Row]) -> Fit:
    """The parameter-server law of some throughput rows."""
    return fit([r.workers or 0 for r in rows], [_step_s(r) for r in rows], "servers")


def served_step_s(found: Fit, workload: Workload, batch_examples: int, workers: int, per_node: int) -> float:
    """Step time of a fitted cluster whose nodes have so many devices, on links inside them that cost nothing."""
    fitted = as_cluster(found, workload, batch_examples, "fitted")
    network = fitted.links[-1]
    inside = Level("inside a node", per_node, 0.0, 1e15)
    links = (inside, network) if per_node > 1 else (network,)
    cluster = replace(fitted, nodes=network.members, devices_per_node=per_node, links=links)
    return cost(cluster, workload, SyncSGD(workers, "parameter_servers"), batch_examples).step_s


def server_predictions() -> list[Prediction]:
    """The law fitted to one-GPU nodes, at its own rows and carried over."""
    k80 = throughputs("CSCS", "AWS p2.xlarge")
    daint = throughputs("CSCS", "Piz Daint")
    laws = {"k80": server_fit(k80), "daint": server_fit(daint)}
    inception = load_workload("inception-v3")

    def predict(check: str, sample: str, law: Fit, rows: list[Row], per_node: int, system: str) -> list[Prediction]:
        return [_served(check, sample, law, r, per_node, system, inception) for r in rows]

    google = throughputs("TensorFlow", "p2.8xlarge (8xK80/node)")
    cscs = throughputs("CSCS", "AWS p2.8xlarge")
    dgx1 = throughputs("TensorFlow", "DGX-1 8xP100; PS-on-CPU")
    found = predict(SERVERS_FITTED, "in", laws["k80"], k80, 1, "AWS p2.xlarge (CSCS)")
    found += predict(SERVERS_FITTED, "in", laws["daint"], daint, 1, "Piz Daint (CSCS)")
    found += predict(SERVERS_CARRIED, "out", laws["k80"], google, 8, "EC2 p2.8xlarge (TensorFlow)")
    found += predict(SERVERS_CARRIED, "out", laws["k80"], cscs, 8, "AWS p2.8xlarge (CSCS)")
    found += predict(SERVERS_OTHER, "out", laws["daint"], dgx1, 8, "DGX-1 from Piz Daint")
    return found + _other_model(laws["k80"], "resnet-50") + _other_model(laws["k80"], "resnet-152")


def _served(check: str, sample: str, law: Fit, row: Row, per_node: int, system: str, workload: Workload) -> Prediction:
    assert row.workers is not None
    assert row.batch_per_worker is not None
    step_s = served_step_s(law, workload, round(row.batch_per_worker), row.workers, per_node)
    setting = f"{row.model}, {row.workers} workers"
    return Prediction(check, system, row.id, sample, setting, "step time", "s", _step_s(row), step_s)


def _other_model(k80: Fit, shelf_name: str) -> list[Prediction]:
    """Another model on p2.8xlarge: its own one-GPU step, the servers' times of Inception-V3 scaled by the bytes."""
    workload = load_workload(shelf_name)
    rows = throughputs("TensorFlow", "p2.8xlarge (8xK80/node)", workload.name)
    ratio = workload.gradient_bytes / load_workload("inception-v3").gradient_bytes
    base = next(r for r in rows if r.workers == 1)
    assert isinstance(k80.law, ServerLaw)
    own = ServerLaw(_step_s(base), ratio * k80.law.incast_s_per_doubling, ratio * k80.law.per_client_s)
    system = f"EC2 p2.8xlarge, {workload.name} (TensorFlow)"
    return [
        _served(SERVERS_OTHER, "in" if r is base else "out", replace(k80, law=own), r, 8, system, workload)
        for r in rows
    ]


def identity_predictions() -> list[Prediction]:
    """What Goyal et al. state about their gradients, from the ResNet-50 and Big Basin of the shelf."""
    workload, goyal = load_workload("resnet-50"), load_cluster("p100-ethernet")
    need = 2 * workload.gradient_bytes / 0.125 * 8e-9
    sizes = [layer.parameters * workload.bytes_per_parameter for layer in workload.layers]
    times = []
    for algorithm in (collectives.ring_all_reduce, collectives.halving_doubling_all_reduce):
        link = goyal.link_models[1]
        times.append(sum(collectives.seconds(algorithm(32, size), [link]) for size in sizes))
    size_mb = workload.gradient_bytes / 1e6
    name = "Goyal 2017"
    return [
        Prediction(IDENTITIES, name, "SC008", "out", "ResNet-50", "gradients", "MB", value_of("SC008"), size_mb),
        Prediction(IDENTITIES, name, "SC009", "out", "ResNet-50", "need", "Gbit/s", value_of("SC009"), need),
        Prediction(
            IDENTITIES,
            name,
            "SC010",
            "out",
            "32 servers, layer by layer",
            "ring / halving-doubling",
            "x",
            value_of("SC010"),
            times[0] / times[1],
        ),
    ]


def real_prediction() -> Prediction | str:
    """Calibrate two processes here, predict their real steps and take 200; or why that was refused."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["calibrate", "--output", f"{folder}/here.yaml", "--check", "--json"]
        done = launch(options, 2, capture=True)
    if done.returncode:
        said = (done.stderr or "").strip().splitlines()
        return said[-1].removeprefix("error: ") if said else f"stopped with status {done.returncode}"
    steps = json.loads(done.stdout)["real_steps"]
    share = steps["communication_share"]
    setting = f"batch {steps['batch_examples']}, communication {share:.0%} of a step, median of {steps['steps']}"
    return Prediction(
        REAL,
        "this machine",
        "real",
        "out",
        setting,
        "step time",
        "s",
        steps["measured_s"],
        steps["predicted_s"],
    )


def predictions() -> list[Prediction]:
    """All predictions, in the order of the checks."""
    return table_predictions() + server_predictions() + [s.prediction() for s in scalings()] + identity_predictions()
