"""Scaling efficiency predicted from specifications alone: shelf clusters and workloads, nothing fitted."""

from dataclasses import dataclass, replace

from simulation.cluster import Cluster, Level, resized
from simulation.costs import cost
from simulation.description import load_cluster, load_workload
from simulation.predictions import OTHER_SYSTEMS, SPECIFICATIONS, TPU_CARRIED, WHOLE_RUNS, Prediction
from simulation.protocols import SyncSGD
from simulation.published_rows import published_rows, throughputs, value_of
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
    base_cluster: Cluster | None = None  # where the base row ran with other settings

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
        few = cost(self.base_cluster or self.cluster, self.workload, SyncSGD(self.base_workers), base_batch)
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


# MLPerf Training v0.7, ResNet-50: the base row, then (row, workers of the base) of each larger run. The throughputs
# between evaluations are what a step time speaks of; whole runs also hold start-up (3 s of 120 and 10 s of 109 at the
# largest) and evaluations, and two of the TPU logs name the epoch before the one that they evaluate.
_BETWEEN_EVALUATIONS = {
    "A100": ("SC402", ("SC403", "SC404")),
    "V100": ("SC405", ("SC406",)),
    "TPU v4": ("SC398", ("SC399", "SC400")),
}
_WHOLE_RUNS = {
    "A100": ("SC283", ("SC277", "SC280")),
    "V100": ("SC274", ("SC271",)),
    "TPU v4": ("SC262", ("SC259", "SC265")),
}


def _half() -> Workload:
    """ResNet-50 with float16 gradients, as NVIDIA's MLPerf entries send them."""
    return replace(load_workload("resnet-50"), bytes_per_parameter=2.0)


def mlperf_tpu(step_overhead_s: float = 0.0) -> Cluster:
    """TPU v4 under the software of 2020: no all-reduce overlaps anything."""
    tpu = load_cluster("tpu-v4-torus")
    return replace(tpu, overlap=False, device=replace(tpu.device, step_overhead_s=step_overhead_s))


def tpu_overhead_s() -> float:
    """What a step on 4096 TPU v3, 16 images each, lasted beyond its FLOP and its all-reduce as they are modelled.

    Optimizer, synchronised batch normalisation, launching: whatever does not shrink with the batch.
    """
    row = published_rows()["SC401"]
    assert row.workers is not None
    assert row.batch_per_worker is not None
    batch = int(row.batch_per_worker)
    modelled = cost(load_cluster("tpu-v3-multipod"), load_workload("resnet-50"), SyncSGD(row.workers), batch)
    return row.workers * batch / value_of("SC401") - modelled.step_s


def _mlperf(check: str, rows: dict[str, tuple[str, tuple[str, ...]]], tpu: Cluster) -> list[Scaling]:
    """The rows of each system against its base.

    NVIDIA's entries overlap gradients with the backward pass on one node and not across nodes
    (MXNET_HOROVOD_NUM_GROUPS of 20 and of 1 in their configurations; "Default is no NCCL and BWD overlap").
    """
    clusters = {"A100": load_cluster("dgx-a100"), "V100": load_cluster("dgx2h-infiniband"), "TPU v4": tpu}
    found = []
    for name, (base, larger) in rows.items():
        cluster = clusters[name]
        workload = load_workload("resnet-50") if name == "TPU v4" else _half()
        workers = published_rows()[base].workers
        assert workers is not None
        found += [
            Scaling(
                check, f"MLPerf v0.7 {name}", row, replace(cluster, overlap=False), workload, workers, base=base,
                base_cluster=cluster,
            )
            for row in larger
        ]  # fmt: skip
    return found


def scalings() -> list[Scaling]:
    """The efficiencies that specifications alone are held against."""
    goyal, horovod = load_cluster("p100-ethernet"), load_cluster("pascal-roce")
    resnet, half = load_workload("resnet-50"), _half()
    inception, vgg = load_workload("inception-v3"), load_workload("vgg-16")
    found = [
        Scaling(SPECIFICATIONS, "Goyal 2017", "SC001", goyal, resnet, 8),
        Scaling(SPECIFICATIONS, "Goyal 2017", "SC143", goyal, resnet, 8, batch=32),
        Scaling(SPECIFICATIONS, "Horovod", "SC134", horovod, inception, 1),
        Scaling(SPECIFICATIONS, "Horovod", "SC135", horovod, load_workload("resnet-101"), 1),
        Scaling(SPECIFICATIONS, "Horovod", "SC136", horovod, vgg, 1),
        *_mlperf(SPECIFICATIONS, _BETWEEN_EVALUATIONS, mlperf_tpu()),
        *_mlperf(WHOLE_RUNS, _WHOLE_RUNS, mlperf_tpu()),
        *_mlperf(TPU_CARRIED, {"TPU v4": _BETWEEN_EVALUATIONS["TPU v4"]}, mlperf_tpu(tpu_overhead_s())),
    ]
    fdr = replace(_with_link(resized(goyal, 128), 1, "InfiniBand FDR", 1.4e-5, 6.8e9), overlap=False)
    torus = replace(
        load_cluster("dgx2h-infiniband"),
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
        for workload in (inception, vgg, resnet, load_workload("resnet-152"), load_workload("alexnet")):
            rows = sorted(throughputs("TensorFlow", start, workload.name), key=lambda r: r.workers or 0)
            found += [
                Scaling(OTHER_SYSTEMS, f"{system} (TensorFlow)", r.id, cluster, workload, 1, base=rows[0].id)
                for r in rows[1:]
            ]
    return found
