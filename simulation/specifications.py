"""Scaling efficiency predicted from specifications alone: shelf clusters and workloads, nothing fitted."""

from dataclasses import dataclass, replace

from simulation.cluster import Cluster, Level, resized
from simulation.costs import cost
from simulation.description import load_cluster, load_workload
from simulation.predictions import OTHER_SYSTEMS, SPECIFICATIONS, Prediction
from simulation.protocols import SyncSGD
from simulation.published_rows import published_rows, throughputs
from simulation.workload import Workload


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
        return Prediction(self.check, self.system, self.id, "out", setting, "efficiency", "1", printed, predicted)


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
            rows = sorted(throughputs("TensorFlow", start, workload.name), key=lambda r: r.workers or 0)
            found += [
                Scaling(OTHER_SYSTEMS, f"{system} (TensorFlow)", r.id, cluster, workload, 1, base=rows[0].id)
                for r in rows[1:]
            ]
    return found
