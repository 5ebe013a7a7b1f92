"""A workload small enough to reckon by hand, for the tests of prices."""

from simulation.workload import Layer, Workload

# 8 MB of gradients; 2e10 FLOP forward.
NET = Workload(
    name="net",
    source="a test",
    confidence="derived",
    layers=(Layer("a", 1_000_000, 1e9), Layer("b", 1_000_000, 1e9)),
    batch_per_worker_examples=10,
    prediction_bytes_per_example=40.0,
)
