"""Prediction against measurement: what the simulator says of a run beside what real processes do.

The paper argues (section 2) that groups which exchange checkpoints now and then, or predictions, need far less of the
network than workers that share every gradient, and that old teachers do no harm; it prints neither bytes nor times.
Whoever plans such a run asks a simulator. Here it is held against real runs of ``repro.codistill``: processes of one
machine over gloo, on the tasks of this package's other experiments.

For every arm: the machine's parts are measured, one worker's step without communication, a teacher's forward pass, what
the distillation term adds, the collectives by size, a snapshot's way through the shared folder, all with as many
processes side by side as the run has; then the run itself; then the parts once more. The simulator is given the mean of
both measurements of the parts and the protocol, never a step that it is to predict. (In a first round the term and the
check that all groups swap predictions of the same examples were no parts: steps with a swap each were told 30 % too
short.) Beside each other stand

- *step time*: the median over stretches of at least ten steps of the mean within, from the recorded schedule and from
  the simulated one alike;
- *bytes* a step over all links: what the kernel counted on the processes' connections, and the snapshots taken in;
- *teacher age*: own version less the teacher's, mean over adoptions;
- *replay*: the recorded schedule repeated in one process, against the digest of every published snapshot.

Rules, declared before the runs. Step times must agree to 15 %, the target of the simulator's own check with two
processes; bytes to 5 %, for the headers of messages are not modelled, and ages exactly, where groups wait for each
other. Where groups take what is there, times decide about both: ages must agree to one exchange interval. A replay must
meet every digest with up to two workers a group, and beyond, where all-reduce adds in another order, each weight to
1e-5 (1e-6 holds for a hundred steps only: training makes rounding grow). What rests on times counts only if no process
had to wait for a core: as many cores free as processes before the run and after it, and the two measurements of a
worker's step no further apart than the tolerance. Other runs stay on record, are drawn hollow, and leave the claim
undecided. All else is judged on any machine.

Departures: processes of one machine; small nets. Four and eight processes stand in ``config/cluster.yaml``, for a
machine with as many cores. Unlike elsewhere, times and what they decide differ from run to run.
Cost at scale ``paper``: half a minute to a minute of two cores a run.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from repro.codistill.settings import AnyProtocol
from repro.compare import Answer, Claim
from repro.experiment import BY_ARM, Arm, Context, Result
from repro.papers.anil2018._arms import Rule
from repro.papers.anil2018._pace import pace_s, stretches
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options
from simulation.protocols import Codistillation, SyncSGD, to_dict

DATA = {"quick": BY_ARM, "paper": BY_ARM, "cluster": BY_ARM}
PRINTED_DATA = "common-crawl"
TIME_TOLERANCE = 0.15
BYTES_TOLERANCE = 0.05
REPLAY_TOLERANCE = 1e-5
EXACT_WORKERS = 2  # of a group, up to which a replay meets every digest
TASKS = {"pictures": "repro.papers.anil2018._tasks:pictures", "language": "repro.papers.anil2018._tasks:language"}


class Problem(Options):
    """What is trained: a task of this package with its settings, and for how long."""

    data: str
    task: Literal["pictures", "language"]
    settings: Mapping[str, Any]
    batch_size: PositiveInt
    optimizer: Rule
    updates: PositiveInt


class Config(Options):
    """Every protocol is run on every problem; ``rounds`` measure each of the machine's parts."""

    seeds: int = Field(3, ge=1)
    device: Literal["cpu", "cuda"] = Field("cpu", description="where these runs go, whatever else the scale uses")
    rounds: PositiveInt = 15
    problems: Mapping[str, Problem]
    protocols: Mapping[str, AnyProtocol] = Field(max_length=7, description="as many as a figure has marks")

    @field_validator("protocols")
    @classmethod
    def _synchronous(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for name, protocol in value.items():
            within = protocol.within if isinstance(protocol, Codistillation) else protocol
            if not isinstance(within, SyncSGD) or within.aggregation != "allreduce":
                raise ValueError(f"{name}: only SyncSGD by all-reduce, and Codistillation of it, are measured here")
        return value

    @model_validator(mode="after")
    def _long_enough(self) -> "Config":
        for problem in self.problems.values():
            for name, protocol in self.protocols.items():
                if not stretches(protocol, problem.updates):
                    raise ValueError(f"{name}: {problem.updates} updates are too few to tell its pace; raise them")
        return self


def _free(config: Config) -> list[str]:
    """Protocols under which groups take what is there, so that times decide who learns from what."""
    return [n for n, p in config.protocols.items() if isinstance(p, Codistillation) and p.pickup == "latest"]


def arm_name(problem: str, protocol: str) -> str:
    return f"{problem}.{protocol}"


def arms(config: Config) -> list[Arm]:
    return [
        Arm(
            arm_name(name, called),
            {
                **problem.model_dump(mode="json", exclude={"data"}),
                "rounds": config.rounds,
                "protocol": to_dict(protocol),
            },
            config.seeds,
            data=problem.data,
            processes=protocol.total_workers,
            device=config.device,
        )
        for name, problem in config.problems.items()
        for called, protocol in config.protocols.items()
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    import shutil

    import torch

    from repro.codistill.local import launch
    from repro.codistill.place import threads_of_a_process
    from repro.codistill.recorded import recorded_schedule
    from repro.codistill.replayed import learn
    from repro.codistill.settings import RunFile
    from repro.codistill.task import load_task
    from repro.papers.anil2018._machine import averaged, measured_parts
    from repro.papers.anil2018._measured import moved_bytes, weights_apart
    from repro.papers.anil2018._predicted import predict
    from simulation.processes import free_cores
    from simulation.statistics import statistics

    settings = arm.settings
    folder = context.work / "run"
    shutil.rmtree(folder, ignore_errors=True)  # an interrupted run's times mean nothing: begin anew
    real = RunFile.model_validate(
        {name: settings[name] for name in ("batch_size", "optimizer", "updates", "protocol")}
        | {"task": TASKS[settings["task"]], "task_settings": {"name": context.data, **settings["settings"]}}
        | {"folder": folder, "seed": seed, "device": context.device, "precision": "float32"}
        | {"checkpoint_updates": settings["updates"]}
    )
    free = free_cores()
    before = measured_parts(real, folder / "before", settings["rounds"])
    launch(real)
    after = measured_parts(real, folder / "after", settings["rounds"])
    free = min(free, free_cores())

    recorded = recorded_schedule(real)
    recorded.save(context.work / "schedule.safetensors")
    predicted = predict(averaged(before, after), real.protocol, real.batch_size, real.updates, seed)
    torch.set_num_threads(threads_of_a_process())
    replayed = learn(load_task(real.task, real.task_settings), real, recorded)
    drift = abs(after.step_s / before.step_s - 1)
    metrics: dict[str, float | int | str] = {
        "step_ms": 1e3 * pace_s(recorded),
        "step_ms_predicted": 1e3 * pace_s(predicted.schedule),
        "bound": predicted.bound,
        "free_cores": free,
        "drift": drift,
        "quiet": int(arm.processes <= round(free) and drift <= TIME_TOLERANCE),
        "bytes_a_step_predicted": predicted.total_bytes / real.updates,
        "digests": replayed.checked,
        "digests_missed": len(replayed.mismatches),
        "weights_apart": weights_apart(real, replayed),
    }
    moved = moved_bytes(real, recorded)
    if moved is not None:
        metrics["bytes_a_step"] = moved / real.updates
    for name, schedule in (("teacher_age", recorded), ("teacher_age_predicted", predicted.schedule)):
        age = statistics(schedule).teacher_age_mean
        if age is not None:
            metrics[name] = age
    shutil.rmtree(folder)
    return Result(metrics)


ByProblem = Callable[[str, str], Mapping[int, float]]  # (problem, protocol) to a number a seed
LABELS = {"step_ms": "step time, ms", "bytes_a_step": "bytes a step, all links", "teacher_age": "teacher age, steps"}


def figure(results: Results) -> Drawing:
    from repro.plots.style import COLOURS, MARKERS, axes

    config = Config.model_validate(results.config)
    colours = dict(zip(config.problems, COLOURS, strict=False))
    markers = dict(zip(config.protocols, MARKERS, strict=False))
    data = _marks(results, config)
    drawn, panels = axes(3, width_in=13.0, height_in=5.2)
    for metric, ax in zip(LABELS, panels, strict=True):
        rows = [row for row in data if row["quantity"] == metric]
        for row in rows:
            colour = colours[row["problem"]]
            face = colour if row["counts"] else "none"
            style: dict[str, Any] = {"color": colour, "mfc": face, "ms": 8, "mew": 1.5, "alpha": 0.8}
            ax.plot(row["predicted"], row["measured"], markers[row["protocol"]], **style)
        _frame(ax, rows, metric)
    for problem, colour in colours.items():
        panels[0].plot([], [], "o", color=colour, ms=8, label=problem)
    for protocol, marker in markers.items():
        panels[0].plot([], [], marker, color="#444444", ms=8, label=protocol)
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=10)
    times = [row for row in data if row["quantity"] == "step_ms"]
    disturbed = sum(not row["counts"] for row in times)
    caption = (
        "Real runs against the simulator, which was given parts of the machine, measured before and after each run. "
        f"Left: time of a step, band of the declared {TIME_TOLERANCE:.0%}; hollow: {disturbed} of {len(times)} runs in "
        "which processes waited for cores, not judged. Middle: bytes a step over all links, band of "
        f"{BYTES_TOLERANCE:.0%}. Right: own version less the teacher's, mean over adoptions. A mark a run, "
        f"n = {config.seeds} a condition. "
    )
    return Drawing(drawn, data, caption + results.scope)


def _marks(results: Results, config: Config) -> list[dict[str, Any]]:
    """One row for each quantity of each run; ``counts``: 0 where it rests on times of a run that was disturbed."""
    rows = []
    for metric, problem, protocol in product(LABELS, config.problems, config.protocols):
        arm = arm_name(problem, protocol)
        timed = metric == "step_ms" or (metric == "teacher_age" and protocol in _free(config))
        measured, predicted = results.values(arm, metric), results.values(arm, f"{metric}_predicted")
        for seed in sorted(measured.keys() & predicted.keys()):
            if metric == "bytes_a_step" and not measured[seed]:
                continue  # a single process sends nothing
            row = {"quantity": metric, "problem": problem, "protocol": protocol, "seed": seed}
            row |= {"measured": measured[seed], "predicted": predicted[seed]}
            rows.append(row | {"counts": 1 if not timed else results.values(arm, "quiet")[seed]})
    return rows


def _frame(ax: Any, rows: Sequence[Mapping[str, Any]], metric: str) -> None:
    """Equal axes around the diagonal, with the band in which a prediction counts as right."""
    from repro.plots.style import plain_ticks

    label = LABELS[metric]
    ax.set_xlabel(f"{label}, predicted")
    ax.set_ylabel(f"{label}, measured")
    values = [row[side] for row in rows for side in ("measured", "predicted")]
    if not values:
        return
    if metric == "teacher_age":
        margin = 0.1 * max(1.0, max(values))
        low, high = min(values) - margin, max(values) + margin
    else:
        low, high = min(values) / 1.4, max(values) * 1.4
        ax.set_xscale("log")
        ax.set_yscale("log")
        if metric == "step_ms":  # a decade or less, which the usual ticks label badly
            ticks = [digit * 10.0**power for power in range(-2, 5) for digit in (1, 2, 5)]
            for axis in (ax.xaxis, ax.yaxis):
                plain_ticks(axis, [tick for tick in ticks if low <= tick <= high])
    ax.plot([low, high], [low, high], color="#444444", lw=1.2, zorder=0)
    if band := {"step_ms": TIME_TOLERANCE, "bytes_a_step": BYTES_TOLERANCE}.get(metric):
        # predicted within this share of measured
        edges = [[value / (1 + side) for value in (low, high)] for side in (band, -band)]
        ax.fill_between([low, high], *edges, color="#bbbbbb", alpha=0.35, lw=0, zorder=0)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)


def errors(results: Results, arm: str, metric: str) -> dict[int, float]:
    """|predicted / measured - 1| by seed; of step times only those of undisturbed runs."""
    measured, predicted = results.values(arm, metric), results.values(arm, f"{metric}_predicted")
    found = {seed: abs(predicted[seed] / measured[seed] - 1) for seed in measured.keys() & predicted.keys()}
    return undisturbed(results, arm, found) if metric == "step_ms" else found


def undisturbed(results: Results, arm: str, found: Mapping[int, float]) -> dict[int, float]:
    """The same, with no number (NaN) for runs in which processes waited for cores."""
    quiet = results.values(arm, "quiet")
    return {seed: value if quiet[seed] else math.nan for seed, value in found.items()}


def worst(by_arm: Sequence[Mapping[int, float]]) -> tuple[float, ...]:
    """The largest value of each seed over all arms that have it; none (NaN) where one arm's is none."""
    seeds = sorted(set().union(*by_arm))
    by_seed = [[found[seed] for found in by_arm if seed in found] for seed in seeds]
    return tuple(math.nan if any(map(math.isnan, values)) else max(values) for values in by_seed)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    protocols = config.protocols
    codistilled = {name: p for name, p in protocols.items() if isinstance(p, Codistillation)}
    free = _free(config)
    waiting = [name for name in codistilled if name not in free]
    sending = [name for name, p in protocols.items() if p.total_workers > 1 and name not in free]
    exact = [name for name, p in protocols.items() if p.total_workers <= EXACT_WORKERS * p.groups]
    rounded = [name for name in protocols if name not in exact]

    def values(metric: str) -> ByProblem:
        return lambda problem, name: results.values(arm_name(problem, name), metric)

    def error(metric: str) -> ByProblem:
        return lambda problem, name: errors(results, arm_name(problem, name), metric)

    def age_apart(problem: str, name: str) -> dict[int, float]:
        """In steps; where groups take what is there in exchange intervals, and only of undisturbed runs."""
        arm = arm_name(problem, name)
        ages, predicted = results.values(arm, "teacher_age"), results.values(arm, "teacher_age_predicted")
        apart = {seed: abs(ages[seed] - predicted[seed]) for seed in ages.keys() & predicted.keys()}
        if name not in free:
            return apart
        return undisturbed(results, arm, {seed: a / codistilled[name].interval_steps for seed, a in apart.items()})

    def over(other: str) -> ByProblem:
        """Bytes over those of another protocol."""

        def ratio(problem: str, name: str) -> dict[int, float]:
            own, others = (values("bytes_a_step")(problem, n) for n in (name, other))
            return {seed: own[seed] / others[seed] for seed in own.keys() & others.keys()}

        return ratio

    answers: list[Answer] = []

    def claim(which: str, quantity: str, unit: str, null: float, names: Sequence[str], of: ByProblem) -> None:
        """The worst of every seed, over these protocols and all problems, stays below ``null``."""
        if not names:
            return
        found = worst([of(problem, name) for problem in config.problems for name in names])
        waited = sum(map(math.isnan, found))
        answers.append(
            Claim(
                f"CO-33.{which}", quantity, found, null, "less", unit=unit,
                setting=f"{', '.join(names)}; worst of {', '.join(config.problems)}",
                departures=f"processes waited for cores in {waited} of {len(found)}" if waited else "",
            )
        )  # fmt: skip

    for name in protocols:
        claim(f"step.{name}", "relative error of predicted step time", "", TIME_TOLERANCE, [name], error("step_ms"))
    claim("bytes", "relative error of predicted bytes a step", "", BYTES_TOLERANCE, sending, error("bytes_a_step"))
    for name, protocol in codistilled.items():
        other = next((n for n, p in protocols.items() if p == SyncSGD(protocol.total_workers)), None)
        if other is not None:
            said = f"measured bytes a step over those of {other}"
            claim(f"fewer_bytes.{name}", said, "ratio", 1.0, [name], over(other))
    apart = "teacher age, predicted and measured apart"
    claim("age", apart, "steps", 0.5, waiting, age_apart)
    claim("age_free", apart, "intervals", 1.0, free, age_apart)
    claim("replay", "digests missed by the replayed recording", "snapshots", 0.5, exact, values("digests_missed"))
    said = "largest weight, recorded and replayed apart"
    claim("replay_apart", said, "", REPLAY_TOLERANCE, rounded, values("weights_apart"))
    return answers
