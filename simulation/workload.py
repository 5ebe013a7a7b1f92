"""A workload: a model's layers, what an example costs, and what one step of it moves and takes.

Forward and backward time come from a measurement on the cluster's kind of device where the workload has one,
else from FLOP, peak and the attained fraction. A multiply-add counts as two FLOP.
"""

from dataclasses import dataclass

from simulation.cluster import Confidence, Described, Device
from simulation.links import fit_alpha_beta, require, require_non_negative, require_positive


@dataclass(frozen=True)
class Layer(Described):
    """Parameters of a layer and the FLOP of its forward pass for one example."""

    name: str
    parameters: int
    forward_flop_per_example: float

    def __post_init__(self) -> None:
        require_non_negative(parameters=self.parameters, forward_flop_per_example=self.forward_flop_per_example)


@dataclass(frozen=True)
class MeasuredStep(Described):
    """Seconds of one training step (forward, backward, update) on one device without communication."""

    device: str
    batch_examples: int
    step_s: float
    source: str = ""
    backward_s: float | None = None

    def __post_init__(self) -> None:
        require_positive(batch_examples=self.batch_examples, step_s=self.step_s)
        if self.backward_s is not None:
            require_positive(backward_s=self.backward_s)
            require(self.backward_s < self.step_s, "backward_s must be shorter than step_s, which contains it")


@dataclass(frozen=True)
class Workload(Described):
    """What is trained. ``layers`` are in the order of the forward pass."""

    name: str
    source: str
    confidence: Confidence
    layers: tuple[Layer, ...]
    batch_per_worker_examples: int
    example: str = "example"
    bytes_per_parameter: float = 4.0
    backward_per_forward: float = 2.0
    prediction_bytes_per_example: float | None = None
    measured: tuple[MeasuredStep, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.layers), "layers is empty: describe at least one layer")
        require_positive(
            batch_per_worker_examples=self.batch_per_worker_examples,
            bytes_per_parameter=self.bytes_per_parameter,
            backward_per_forward=self.backward_per_forward,
        )
        require(self.parameters > 0, "no layer has parameters: give at least one a positive number")
        require(self.forward_flop_per_example > 0, "no layer has forward_flop_per_example: give one")
        if self.prediction_bytes_per_example is not None:
            require_positive(prediction_bytes_per_example=self.prediction_bytes_per_example)

    @property
    def parameters(self) -> int:
        """Parameters of all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def forward_flop_per_example(self) -> float:
        """FLOP of one example's forward pass."""
        return sum(layer.forward_flop_per_example for layer in self.layers)

    @property
    def gradient_bytes(self) -> float:
        """Bytes of one set of gradients, and of one set of weights as they travel."""
        return self.parameters * self.bytes_per_parameter


@dataclass(frozen=True)
class ComputeTime:
    """Seconds of one step's compute on one device, and where they come from."""

    forward_s: float
    backward_s: float
    basis: str

    @property
    def step_s(self) -> float:
        """Forward and backward together."""
        return self.forward_s + self.backward_s


def _measured_step(workload: Workload, device: Device, batch: int) -> tuple[float, float, str] | None:
    """Step seconds, backward's share, and basis, from measurements on this kind of device."""
    rows = sorted((m for m in workload.measured if m.device == device.name), key=lambda m: m.batch_examples)
    if not rows:
        return None
    nearest = min(rows, key=lambda m: abs(m.batch_examples - batch))
    ratio = workload.backward_per_forward
    share = ratio / (1 + ratio) if nearest.backward_s is None else nearest.backward_s / nearest.step_s
    exact = nearest.batch_examples == batch
    basis = f"{'measured' if exact else 'scaled from a measurement'} on {device.name}"
    if exact or len(rows) == 1:
        overhead = min(device.step_overhead_s, nearest.step_s)
        scale = batch / nearest.batch_examples
        return overhead + (nearest.step_s - overhead) * scale, share, basis
    line = fit_alpha_beta(tuple(float(m.batch_examples) for m in rows), tuple(m.step_s for m in rows))
    return line.seconds(batch), share, basis


def compute_time(workload: Workload, device: Device, batch_examples: int | None = None) -> ComputeTime:
    """Seconds of one step's forward and backward pass for a batch on one device.

    With one measurement the time beyond the device's ``step_overhead_s`` grows with the batch; with several,
    a batch that was not measured follows the straight line fitted to them, so that small batches pay the
    fixed part. Without any it is FLOP / (peak * attained fraction) + overhead.
    """
    batch = workload.batch_per_worker_examples if batch_examples is None else batch_examples
    require(batch >= 1, f"batch must be 1 or more examples, not {batch}")
    measured = _measured_step(workload, device, batch)
    if measured is not None:
        step, share, basis = measured
        return ComputeTime(step * (1 - share), step * share, basis)
    flop_per_s = device.peak_flop_per_s * device.attained_fraction
    forward = workload.forward_flop_per_example * batch / flop_per_s
    backward = forward * workload.backward_per_forward
    share = workload.backward_per_forward / (1 + workload.backward_per_forward)
    basis = f"modelled at {device.attained_fraction:.0%} of the peak of {device.name}"
    overhead = device.step_overhead_s
    return ComputeTime(forward + overhead * (1 - share), backward + overhead * share, basis)


def backward_by_layer(workload: Workload, backward_s: float) -> list[float]:
    """Seconds of each layer's backward pass, in proportion to its FLOP, in forward order."""
    total = workload.forward_flop_per_example
    return [backward_s * layer.forward_flop_per_example / total for layer in workload.layers]
