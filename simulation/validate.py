"""Predict every usable public scaling row and show the error, whatever it is.

Each prediction says whether its row helped to make it (``in``: fitted to it, or the base it is measured
from) or not (``out``). The targets were set before the predictions were made. Rows that cannot be predicted
are listed with the reason. Three kinds of prediction:

* a measured all-reduce table, without every other point, interpolated there;
* the parameter-server law fitted to one-GPU nodes, carried over to nodes of eight, which reach the servers
as one;
* scaling efficiency from specifications alone: shelf clusters and workloads, nothing fitted.
"""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np

from simulation import collectives
from simulation.cluster import Cluster, Level, resized
from simulation.costs import cost
from simulation.description import load_cluster, load_workload
from simulation.fit import Fit, fit
from simulation.links import Table
from simulation.processes import launch
from simulation.protocols import SyncSGD
from simulation.published_rows import Row, published_rows, value_of
from simulation.workload import Workload


@dataclass(frozen=True)
class Prediction:
    """One printed number beside ours."""

    check: str
    system: str
    id: str
    sample: str
    setting: str
    quantity: str
    unit: str
    printed: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative error, predicted / printed - 1."""
        return self.predicted / self.printed - 1


@dataclass(frozen=True)
class Summary:
    """Errors of a check (or of one system of it) over its out-of-sample rows, else its in-sample rows."""

    check: str
    system: str
    sample: str
    n: int
    mean_error: float
    worst_error: float
    bias: float
    target: str
    met: bool | None


@dataclass(frozen=True)
class Target:
    """What a check must reach over all its out-of-sample rows: mean and worst absolute error, where set."""

    mean: float | None = None
    worst: float | None = None

    def words(self) -> str:
        """The target as text."""
        parts = [("mean", self.mean), ("worst", self.worst)]
        return ", ".join(f"{name} <= {limit:.0%}" for name, limit in parts if limit is not None)

    def met(self, mean: float, worst: float) -> bool:
        """Whether errors reach it."""
        return (self.mean is None or mean <= self.mean) and (self.worst is None or worst <= self.worst)


TABLES = "all-reduce, every other point held out"
SERVERS_FITTED = "parameter servers, fitted"
SERVERS_CARRIED = "parameter servers, one-GPU nodes to eight-GPU nodes"
SERVERS_OTHER = "parameter servers, to another model or machine"
SPECIFICATIONS = "sync all-reduce from specifications (Goyal, Horovod, MLPerf v0.7)"
OTHER_SYSTEMS = "sync all-reduce from specifications, other systems"
IDENTITIES = "statements of Goyal et al. about their network"
REAL = "real steps of two gloo processes on this machine"
TARGETS = {
    TABLES: Target(mean=0.05, worst=0.15),
    SERVERS_CARRIED: Target(worst=0.08),
    SPECIFICATIONS: Target(mean=0.10),
    REAL: Target(worst=0.15),
}


# Measured tables


def _table(rows: Iterable[Row]) -> Table:
    points = sorted((float(r.model.split()[0]), (r.value or 0.0) * 1e-6) for r in rows)
    return Table(tuple(b for b, _ in points), tuple(s for _, s in points))


def table_predictions() -> list[Prediction]:
    """Both halves of each nccl-tests table, predicted from the other half."""
    rows = [r for r in published_rows().values() if r.quantity == "time out-of-place" and r.unit == "us"]
    found = []
    for where in ("PR 3484", "issue 176", "PR 43"):
        mine = [r for r in rows if r.where == where]
        ids = {float(r.model.split()[0]): r for r in mine}
        for first in (1, 2):
            kept, held = _table(mine).without_every_other(first)
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
                    kept.seconds(size) * 1e6,
                )
                for size, seconds in held
            ]
    return found


# Parameter servers


def _step_s(row: Row) -> float:
    """Step time of a throughput row."""
    assert row.workers is not None
    assert row.batch_per_worker is not None
    return row.workers * row.batch_per_worker / (row.value or 0.0)


def _throughputs(paper: str, system: str, model: str = "Inception-V3") -> list[Row]:
    return [
        r
        for r in published_rows().values()
        if r.paper.startswith(paper)
        and r.system.startswith(system)
        and r.model == model
        and r.quantity == "throughput"
        and r.data == "synthetic"
    ]


def server_fit(rows: list[Row]) -> Fit:
    """The parameter-server law of some throughput rows."""
    return fit([r.workers or 0 for r in rows], [_step_s(r) for r in rows], "servers")


def server_predictions() -> list[Prediction]:
    """The law fitted to one-GPU nodes, at its own rows and carried over."""
    k80 = _throughputs("CSCS", "AWS p2.xlarge")
    daint = _throughputs("CSCS", "Piz Daint")
    laws = {"k80": server_fit(k80), "daint": server_fit(daint)}

    def predict(
        check: str, sample: str, law: Fit, rows: list[Row], per_node: int, system: str
    ) -> list[Prediction]:
        return [
            Prediction(
                check,
                system,
                r.id,
                sample,
                f"{r.model}, {r.workers} workers",
                "step time",
                "s",
                _step_s(r),
                law.law.step_s(max(1.0, (r.workers or 0) / per_node)),
            )
            for r in rows
        ]

    google = _throughputs("TensorFlow", "p2.8xlarge (8xK80/node)")
    cscs = _throughputs("CSCS", "AWS p2.8xlarge")
    dgx1 = _throughputs("TensorFlow", "DGX-1 8xP100; PS-on-CPU")
    found = predict(SERVERS_FITTED, "in", laws["k80"], k80, 1, "AWS p2.xlarge (CSCS)")
    found += predict(SERVERS_FITTED, "in", laws["daint"], daint, 1, "Piz Daint (CSCS)")
    found += predict(SERVERS_CARRIED, "out", laws["k80"], google, 8, "EC2 p2.8xlarge (TensorFlow)")
    found += predict(SERVERS_CARRIED, "out", laws["k80"], cscs, 8, "AWS p2.8xlarge (CSCS)")
    found += predict(SERVERS_OTHER, "out", laws["daint"], dgx1, 8, "DGX-1 from Piz Daint")
    return found + _other_model(laws["k80"])


def _other_model(k80: Fit) -> list[Prediction]:
    """ResNet-50 on p2.8xlarge: its own one-GPU step, the incast of Inception-V3 scaled by the bytes."""
    rows = _throughputs("TensorFlow", "p2.8xlarge (8xK80/node)", "ResNet-50")
    ratio = load_workload("resnet-50").gradient_bytes / load_workload("inception-v3").gradient_bytes
    base = next(r for r in rows if r.workers == 1)
    rise = k80.law.step_s(2) - k80.law.step_s(1)
    found = []
    for r in rows:
        nodes = max(1.0, (r.workers or 0) / 8)
        step = _step_s(base) + rise * ratio * float(np.log2(nodes))
        sample = "in" if r is base else "out"
        setting = f"{r.model}, {r.workers} workers"
        system = "EC2 p2.8xlarge, ResNet-50 (TensorFlow)"
        found.append(
            Prediction(SERVERS_OTHER, system, r.id, sample, setting, "step time", "s", _step_s(r), step)
        )
    return found


# Efficiency from specifications


@dataclass(frozen=True)
class Scaling:
    """A printed efficiency: of a row alone, or of a throughput row against a base row of fewer workers."""

    check: str
    system: str
    id: str
    cluster: Cluster
    workload: Workload
    base_workers: int
    batch: int | None = None
    base: str | None = None

    def prediction(self) -> Prediction:
        """Efficiency per worker against the base."""
        row = published_rows()[self.id]
        assert row.workers is not None
        batch = self.batch or int(row.batch_per_worker or self.workload.batch_per_worker_examples)
        base_batch, printed = batch, row.value or 0.0
        if self.base is not None:
            base = published_rows()[self.base]
            base_batch = int(base.batch_per_worker or batch)
            printed = (row.value or 0.0) / row.workers / ((base.value or 0.0) / self.base_workers)
        many = cost(self.cluster, self.workload, SyncSGD(row.workers), batch)
        few = cost(self.cluster, self.workload, SyncSGD(self.base_workers), base_batch)
        predicted = many.examples_per_s / row.workers / (few.examples_per_s / self.base_workers)
        setting = f"{self.workload.name}, {self.base_workers} to {row.workers} workers"
        if base_batch != batch:
            setting += f", batch {base_batch} to {batch} each"
        return Prediction(
            self.check, self.system, self.id, "out", setting, "efficiency", "1", printed, predicted
        )


def _with_link(cluster: Cluster, level: int, name: str, latency_s: float, bandwidth: float) -> Cluster:
    links = list(cluster.links)
    links[level] = Level(name, links[level].members, latency_s, bandwidth)
    return replace(cluster, links=tuple(links))


def _k80_node() -> Cluster:
    """One p2.8xlarge: eight K80 on PCIe 3.0, as its data sheet has it."""
    one = resized(load_cluster("p100-ethernet"), 1)
    return replace(
        _with_link(one, 0, "PCIe", 5.7e-6, 1.0e10), name="p2.8xlarge", device=load_cluster("cloud-k80").device
    )


def scalings() -> list[Scaling]:
    """The efficiencies that specifications alone are held against."""
    goyal, horovod = load_cluster("p100-ethernet"), load_cluster("pascal-roce")
    resnet = load_workload("resnet-50")
    half = replace(resnet, bytes_per_parameter=2.0)  # NVIDIA's MLPerf entries send float16 gradients
    a100, v100, tpu = (load_cluster(n) for n in ("dgx-a100", "dgx2h-infiniband", "tpu-v4-torus"))
    inception, vgg = load_workload("inception-v3"), load_workload("vgg-16")
    found = [
        Scaling(SPECIFICATIONS, "Goyal 2017", "SC001", goyal, resnet, 8),
        Scaling(SPECIFICATIONS, "Goyal 2017", "SC143", goyal, resnet, 8, batch=32),
        Scaling(SPECIFICATIONS, "Horovod", "SC134", horovod, inception, 1),
        Scaling(SPECIFICATIONS, "Horovod", "SC135", horovod, load_workload("resnet-101"), 1),
        Scaling(SPECIFICATIONS, "Horovod", "SC136", horovod, vgg, 1),
        Scaling(SPECIFICATIONS, "MLPerf v0.7 A100", "SC277", a100, half, 8, base="SC283"),
        Scaling(SPECIFICATIONS, "MLPerf v0.7 A100", "SC280", a100, half, 8, base="SC283"),
        Scaling(SPECIFICATIONS, "MLPerf v0.7 V100", "SC271", v100, half, 16, base="SC274"),
        Scaling(SPECIFICATIONS, "MLPerf v0.7 TPU v4", "SC259", tpu, resnet, 8, base="SC262"),
        Scaling(SPECIFICATIONS, "MLPerf v0.7 TPU v4", "SC265", tpu, resnet, 8, base="SC262"),
    ]
    fdr = replace(_with_link(resized(goyal, 128), 1, "InfiniBand FDR", 1.4e-5, 6.8e9), overlap=False)
    torus = replace(
        v100,
        name="ABCI, 272 nodes of 4 V100 in a 16 x 17 torus",
        nodes=272,
        devices_per_node=4,
        links=(
            Level("NVLink", 4, 4.0e-6, 1.5e11),
            Level("InfiniBand EDR x2, rows", 16, 1.4e-5, 2.5e10),
            Level("InfiniBand EDR x2, columns", 17, 1.4e-5, 16 * 2.5e10),
        ),
        all_reduce="hierarchical",
    )
    found += [
        Scaling(OTHER_SYSTEMS, "Akiba 2017", "SC144", fdr, resnet, 8, batch=32),
        Scaling(OTHER_SYSTEMS, "Akiba 2017", "SC155", fdr, resnet, 8, batch=32),
        Scaling(OTHER_SYSTEMS, "Mikami 2018", "SC146", torus, half, 4, batch=32),
    ]
    node, dgx1 = _k80_node(), resized(goyal, 1)
    for system, cluster, start in (
        ("DGX-1", dgx1, "DGX-1 8xP100; PS"),
        ("p2.8xlarge", node, "p2.8xlarge 8xK80"),
    ):
        for workload in (inception, vgg, *((resnet,) if system == "p2.8xlarge" else ())):
            rows = sorted(_throughputs("TensorFlow", start, workload.name), key=lambda r: r.workers or 0)
            found += [
                Scaling(OTHER_SYSTEMS, f"{system} (TensorFlow)", r.id, cluster, workload, 1, base=rows[0].id)
                for r in rows[1:]
            ]
    return found


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
        Prediction(
            IDENTITIES, name, "SC008", "out", "ResNet-50", "gradients", "MB", value_of("SC008"), size_mb
        ),
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
    setting = (
        f"batch {steps['batch_examples']}, communication {share:.0%} of a step, median of {steps['steps']}"
    )
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


UNUSABLE = {
    "real data": "the input pipeline is not modelled",
    "AlexNet and ResNet-152": "not on the shelf of workloads",
    "MLPerf v0.7 TPU v3": "its two sizes ran different software",
    "MLPerf v0.7 Ascend 910": "open and closed division mixed, and no public network specification was read",
    "MLPerf time and epochs": "time to accuracy mixes speed with the number of epochs",
    "nccl-tests issue 527": "reported because the network was badly configured",
    "Jia 2018": "P40 step time by batch is not public; its own all-reduce is the paper's subject",
    "Chen 2016": "shares read off a figure of gradient arrivals; used for the shape of stragglers only",
    "Sergeev 2018": "one number printed for two models, or a speed-up without its base",
    "Goyal percent and time rows": "the same measurement as its efficiency",
    "McCandlish 2018": "a property of learning, not of time",
    "rows marked unverified": "recollection is shown, never judged",
}


def predictions() -> list[Prediction]:
    """All predictions, in the order of the checks."""
    return (
        table_predictions()
        + server_predictions()
        + [s.prediction() for s in scalings()]
        + identity_predictions()
    )


def _summary(check: str, system: str, rows: list[Prediction]) -> Summary:
    judged = [r for r in rows if r.sample == "out"] or rows
    errors = np.array([r.error for r in judged])
    mean, worst = float(np.mean(np.abs(errors))), float(np.max(np.abs(errors)))
    target = TARGETS.get(check) if system == "all" else None
    return Summary(
        check,
        system,
        judged[0].sample,
        len(judged),
        mean,
        worst,
        float(np.mean(errors)),
        target.words() if target else "",
        target.met(mean, worst) if target else None,
    )


def summaries(rows: list[Prediction]) -> list[Summary]:
    """Errors by system, then over each check as a whole, where its target is judged."""
    found = []
    for check in dict.fromkeys(r.check for r in rows):
        mine = [r for r in rows if r.check == check]
        systems = list(dict.fromkeys(r.system for r in mine))
        found += [_summary(check, system, [r for r in mine if r.system == system]) for system in systems]
        found.append(_summary(check, "all", mine))
    return found


def as_records(rows: list[Prediction]) -> list[dict[str, object]]:
    """Rows for CSV and JSON, errors included."""
    return [asdict(r) | {"error": r.error} for r in rows]
