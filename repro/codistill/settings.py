"""Everything a run is told beside its task. Importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from repro.errors import UserError
from repro.settings import Options
from simulation.description import read_yaml, validated
from simulation.errors import UserError as SimulatorError
from simulation.protocols import (
    Codistillation,
    LocalSGD,
    Protocol,
    SyncSGD,
    check_run_length,
    from_dict,
    to_dict,
)


def _protocol(value: Any) -> Protocol:
    if isinstance(value, get_args(Protocol)):
        made: Protocol = value
        return made
    try:
        return from_dict(value, where="")
    except SimulatorError as error:
        raise ValueError(str(error).lstrip(":. ")) from None  # the field's name is told already


AnyProtocol = Annotated[Protocol, PlainValidator(_protocol), PlainSerializer(to_dict)]
"""A field that is read and written as `simulation.protocols.from_dict` and `to_dict` have it."""


class Optimizer(Options):
    """The update rule. Rates and decays are functions of the step (local step under LocalSGD).

    The rate rises linearly over `warmup_steps`, then follows `decay` to the end, and is multiplied by
    `milestone_factor` at each of `milestones`. `weight_decay_steps` lists (from step, weight decay): Sodhani et
    al. 2020 (2010.02838) let it fall, since codistillation regularises by itself. `decay_norms` says whether one-
    dimensional tensors (biases, normalisation) decay too. Gradients are scaled down to `clip_norm`, per worker
    under LocalSGD and after the mean elsewhere.
    """

    kind: Literal["sgd", "adam", "adagrad"] = "sgd"
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(0, ge=0)
    decay: Literal["constant", "linear", "cosine"] = "constant"
    milestones: tuple[int, ...] = ()
    milestone_factor: float = Field(0.1, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1, description="sgd")
    nesterov: bool = False
    beta1: float = Field(0.9, ge=0, lt=1, description="adam")
    beta2: float = Field(0.999, ge=0, lt=1, description="adam")
    epsilon: float = Field(1e-8, gt=0, description="adam, adagrad")
    weight_decay: float = Field(0.0, ge=0)
    weight_decay_steps: tuple[tuple[int, float], ...] = ()
    decay_norms: bool = True
    clip_norm: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _every_option_has_effect(self) -> Optimizer:
        own = {"sgd": {"momentum", "nesterov"}, "adam": {"beta1", "beta2", "epsilon"}, "adagrad": {"epsilon"}}
        everyone = set().union(*own.values())
        for name in sorted(self.model_fields_set & everyone - own[self.kind]):
            raise ValueError(f"{name} has no effect on {self.kind}; leave it out")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum > 0")
        if "milestone_factor" in self.model_fields_set and not self.milestones:
            raise ValueError("milestone_factor has no effect without milestones; name them or leave it out")
        if not self.decay_norms and not any((self.weight_decay, *(decay for _, decay in self.weight_decay_steps))):
            raise ValueError("decay_norms: false has no effect without weight decay; set one or leave it out")
        return self


class Distillation(Options):
    """psi and its weight in the sum with the label loss (Algorithm 1 has weight 1)."""

    loss: Literal["cross_entropy", "kl", "squared_logits"] = "cross_entropy"
    weight: float = Field(1.0, gt=0)


class Settings(Options):
    """One run: a protocol and how each group trains.

    updates: of every group (averagings under LocalSGD, steps elsewhere). batch_size: examples of one worker's
    step, computed in `accumulation` equal parts. split: groups draw from "disjoint" parts of the data, from all
    of it ("equal"), or see the very same batches ("same"). order: every group walks its data in "epochs", each
    a fresh permutation, or draws with "replacement". Steps on which predictions are exchanged use batches that
    all groups share, whatever the split.

    patience_s: how long a group waits for a peer (`pickup: wait`) or for room on the disk before it goes on
    without the one, or ends for lack of the other. checkpoint_updates: between checkpoints, beside those at every
    publication.
    """

    protocol: AnyProtocol
    updates: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    optimizer: Optimizer
    distillation: Distillation = Distillation()
    seed: int = Field(0, ge=0)
    split: Literal["disjoint", "equal", "same"] = "equal"
    order: Literal["epochs", "replacement"] = "epochs"
    accumulation: int = Field(1, gt=0)
    precision: Literal["auto", "bf16", "float32"] = "auto"
    device: str = "auto"
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = False
    evaluate_updates: int | None = Field(None, gt=0, description="None: at the end only")
    checkpoint_updates: int = Field(1000, gt=0)
    patience_s: float = Field(600.0, gt=0)

    @model_validator(mode="after")
    def _can_run(self) -> Settings:
        codistilled = isinstance(self.protocol, Codistillation)
        if self.batch_size % self.accumulation:
            raise ValueError(f"accumulation: {self.accumulation} equal parts of batch_size {self.batch_size} are none")
        if not codistilled and "distillation" in self.model_fields_set:
            raise ValueError("distillation: nobody teaches without protocol: Codistillation; leave it out")
        if not codistilled and self.split != "equal":
            raise ValueError("split: a single group has all the data; leave it out")
        within, optimizer = self.within, self.optimizer
        stateless = optimizer.kind == "sgd" and not optimizer.momentum
        if isinstance(within, LocalSGD) and within.momentum != "keep" and stateless:
            raise ValueError(
                f"protocol: momentum: {within.momentum} has no effect on sgd without momentum; give optimizer.momentum "
                "or leave it out"
            )
        try:
            check_run_length(self.protocol, self.updates)
        except SimulatorError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def within(self) -> Any:
        """The protocol inside a group."""
        return self.protocol.within if isinstance(self.protocol, Codistillation) else self.protocol

    @property
    def workers(self) -> int:
        """Workers of one group."""
        return int(self.within.total_workers)

    @property
    def exchanges_predictions(self) -> bool:
        """Whether groups swap outputs in one common job."""
        return isinstance(self.protocol, Codistillation) and self.protocol.exchange == "predictions"

    def is_exchange(self, step: int) -> bool:
        """Whether predictions are swapped at this step."""
        p = self.protocol
        if not isinstance(p, Codistillation) or p.exchange != "predictions":
            return False
        return step >= p.first_adoption and step % p.interval_steps == 0


class RunFile(Settings):
    """A run for real processes, as its YAML file says: settings, the task by name, and the folder all share."""

    task: str
    task_settings: dict[str, Any] = Field(default_factory=dict)
    folder: Path
    backend: Literal["auto", "gloo", "nccl"] = "auto"

    @model_validator(mode="after")
    def _every_option_is_heeded(self) -> RunFile:
        kind, _, number = self.device.partition(":")
        if kind == "cuda" and number:
            raise ValueError(
                f"device: {self.device} names one GPU, and each process takes that of its local rank; give cuda and "
                f"start with CUDA_VISIBLE_DEVICES={number}"
            )
        if self.backend != "auto" and self.job_size == 1:
            raise ValueError(f"backend: {self.backend} has no effect on a job of one process; leave it out")
        return self

    @property
    def job_size(self) -> int:
        """Processes of one job: a group's, or those of all groups where these exchange predictions."""
        apart = isinstance(self.protocol, Codistillation) and not self.exchanges_predictions
        return self.workers if apart else int(self.protocol.total_workers)


def check_real(settings: Settings) -> None:
    """Refuse by name what processes cannot do.

    Raises:
        UserError: a protocol that only the simulator plays.
    """
    within = settings.within
    if not isinstance(within, SyncSGD | LocalSGD):
        raise UserError(
            f"protocol: {type(within).__name__} is timed and replayed by the simulator; real processes run SyncSGD, "
            "LocalSGD, and Codistillation of groups of these"
        )
    if isinstance(within, SyncSGD) and within.aggregation != "allreduce":
        raise UserError("protocol: real processes all-reduce; parameter_servers are for the simulator")


def load_run(path: Path) -> RunFile:
    """Read and validate a run's YAML file.

    Raises:
        UserError: one line with file, key and remedy.
    """
    try:
        run: RunFile = validated(read_yaml(path), RunFile, str(path))
    except SimulatorError as error:
        raise UserError(str(error)) from None
    check_real(run)
    return run


def as_plain(settings: Settings) -> Mapping[str, Any]:
    """Settings as JSON would have them."""
    return settings.model_dump(mode="json")
