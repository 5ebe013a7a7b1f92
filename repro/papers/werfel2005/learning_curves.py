"""The error of a linear layer against learning steps, exact and simulated: one rule against another.

The paper derives the mean learning curves of direct gradient descent, node perturbation and weight perturbation in a
linear feed-forward layer, and finds that at a sufficiently small step all three are the same, while each rule's fastest
step is the smaller, the more dimensions its noise has.

Here the exact maps of ``_maps`` (lines) stand beside simulations of the rules as they are (points): every replicate
draws its cases and perturbations, computes its losses and moves its weights. Each rule runs at its own best step, and
all three at one small step; node and weight perturbation with a finite perturbation, which ends at a floor, and in the
forward-mode limit s = 0, which has none. A seed is a block of replicates, and its curve their mean.

Verdicts: a simulated curve follows the map if the root mean square of its relative distance, over the points, is below
a tenth; at the small step no rule's error may differ from gradient descent's by more than a twentieth.

Departures: the curves' algebra is our own (``_maps``); the paper gives it in other symbols. Isotropic inputs, no noise
in the teacher. Cost at scale ``paper``: 1 to 15 seconds of one core a run.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer, Claim, t_interval
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.papers.werfel2005._maps import NAMES, RULES, Map
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": NO_DATA, "paper": NO_DATA, "cluster": NO_DATA}
PRINTED_DATA = NO_DATA
FINITE, LIMIT, SMALL = "best.finite", "best.limit", "small.limit"
PRINTED = {"gradient": "PS216", "node": "PS218", "weight": "PS220"}


class Config(Options):
    """``time_constants``: a run at its best step takes so many times 1/(1 - contraction) steps; at the small step,
    which is ``small_share`` of weight perturbation's best one, ``small_time_constants`` times."""

    seeds: int = Field(5, ge=2)
    outputs: int = Field(5, ge=1)
    inputs: int = Field(10, ge=1)
    noise_sd: float = Field(0.02, gt=0, description="s.d. of the perturbation in the arms where it is finite")
    replicates: int = Field(ge=2, description="of a seed's block")
    points: int = Field(10, ge=2)
    time_constants: float = Field(5.0, gt=0)
    small_share: float = Field(0.02, gt=0, lt=1)
    small_time_constants: float = Field(1.5, gt=0)


def arms(config: Config) -> list[Arm]:
    """Gradient descent perturbs nothing and has no arm with a finite perturbation."""
    layer = {"outputs": config.outputs, "inputs": config.inputs}
    small = config.small_share * Map("weight", **layer).best_step
    listed = []
    for rule, kind in itertools.product(RULES, (FINITE, LIMIT, SMALL)):
        noise_sd = config.noise_sd if kind == FINITE else 0.0
        if rule == "gradient" and noise_sd:
            continue
        exact = Map(rule, **layer, noise_sd=noise_sd)
        step = small if kind == SMALL else exact.best_step
        # At the small step the error falls by 2 h a step, nearly, and all rules are looked at after the same steps.
        constant = 1 / (2 * small) if kind == SMALL else 1 / (1 - exact.contraction(step))
        constants = config.small_time_constants if kind == SMALL else config.time_constants
        settings = {
            "rule": rule, **layer, "noise_sd": noise_sd, "step": step, "replicates": config.replicates,
            "points": config.points, "steps": math.ceil(constants * constant),
        }  # fmt: skip
        listed.append(Arm(f"{rule}.{kind}", settings, config.seeds, seeds_per_job=config.seeds, device="cpu"))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    import numpy as np

    from repro.papers.werfel2005._simulation import simulate
    from repro.training.keys import generator_seed

    s = arm.settings
    exact = Map(s["rule"], s["outputs"], s["inputs"], s["noise_sd"])
    observe = [round(s["steps"] * k / s["points"]) for k in range(s["points"] + 1)]
    errors = simulate(
        s["rule"], s["outputs"], s["inputs"], step=s["step"], noise_sd=s["noise_sd"], observe=observe,
        replicates=s["replicates"], generator=np.random.default_rng(generator_seed(seed, "werfel", arm.name)),
    ).mean(1)  # fmt: skip
    expected = np.array([exact.error(1.0, s["step"], t) for t in observe])
    distance = errors / expected - 1
    metrics = {
        "final_error": float(errors[-1]),
        "final_error_exact": float(expected[-1]),
        "relative_distance_rms": float(np.sqrt(np.mean(distance[1:] ** 2))),
    }
    return Result(metrics, [(0, t, "train", "error", float(e)) for t, e in zip(observe, errors, strict=True)])


def curve(results: Results, arm: str) -> dict[int, list[float]]:
    """Steps to the errors of all seeds."""
    found: dict[int, list[float]] = {}
    for row in results.curves:
        if row["arm"] == arm:
            found.setdefault(row["step"], []).append(row["value"])
    return found


def figure(results: Results) -> Drawing:
    from repro.plots.style import COLOURS, MARKERS, axes, legend, plain_ticks

    config = Config.model_validate(results.config)
    drawn, panels = axes(2, width_in=11.0, height_in=4.6)
    data: list[dict[str, Any]] = []
    panel_of = {FINITE: 0, LIMIT: 0, SMALL: 1}
    asked = {arm.name: arm.settings for arm in arms(config)}
    for number, rule in enumerate(RULES):
        for kind, panel in panel_of.items():
            points = curve(results, f"{rule}.{kind}")
            if not points:
                continue
            s = asked[f"{rule}.{kind}"]
            exact = Map(rule, s["outputs"], s["inputs"], s["noise_sd"])
            steps = sorted(points)
            x = steps[1:] if panel == 0 else steps
            label = NAMES[rule] if kind != FINITE and panel == 0 else None
            colour, filled = COLOURS[number], kind != FINITE
            lines = sorted({round(steps[-1] * (k / 200) ** 2) for k in range(201)} - ({0} if panel == 0 else set()))
            ax = panels[panel]
            ax.plot(lines, [exact.error(1, s["step"], t) for t in lines], "-" if filled else "--", color=colour, lw=1.3)
            means = {t: t_interval(points[t]) for t in x}
            half = [0.0 if high is None else high - mean for mean, _, high in means.values()]
            ax.errorbar(
                x, [mean for mean, _, _ in means.values()], yerr=half, fmt=MARKERS[number], color=colour, capsize=2,
                mfc=colour if filled else "white", label=label, ms=5.5,
            )  # fmt: skip
            data += [
                {"rule": rule, "kind": kind, "step": t, "exact": exact.error(1, s["step"], t)}
                | {"mean": mean, "low": low, "high": high, "n": len(points[t])}
                for t, (mean, low, high) in means.items()
            ]
    left, right = panels
    left.set_xscale("log")
    left.set_title("each at its best step")
    right.set_title("all at one small step")
    for ax in panels:
        ax.set_yscale("log")
        ax.set_xlabel("learning steps")
    plain_ticks(right.yaxis, [0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1])
    left.set_ylabel("error |W − W*|² / 2, start = 1")
    legend(left, loc="lower left")
    caption = (
        f"Mean error of a linear layer of {config.outputs} outputs and {config.inputs} inputs. Lines: the exact map; "
        f"marks: simulation, mean and 95 % t-interval over n = {config.seeds} blocks of {config.replicates:,} "
        "replicates. Full marks: exact directional derivatives (s = 0); open marks, dashed: finite perturbation of s = "
        f"{config.noise_sd:g}, which ends at a floor. The small step is {config.small_share:g} of weight "
        "perturbation's best. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    answers: list[Answer] = []
    for rule, row in PRINTED.items():
        for kind in (LIMIT, FINITE):
            if rule == "gradient" and kind == FINITE:
                continue
            distances = tuple(results.values(f"{rule}.{kind}", "relative_distance_rms").values())
            told = "root mean square of (simulated mean / exact map - 1) over the learning curve"
            setting = f"{NAMES[rule]}, {'s = 0' if kind == LIMIT else 'finite perturbation'}"
            answers.append(Claim(f"{row}.{kind.split('.')[1]}", told, distances, 0.1, "less", setting))
    reference = curve(results, f"gradient.{SMALL}")
    for rule in RULES[1:]:
        own = curve(results, f"{rule}.{SMALL}")
        seeds = min((len(curve[t]) for curve in (own, reference) for t in curve), default=0)
        largest = tuple(max(abs(math.log(own[t][seed] / reference[t][seed])) for t in own) for seed in range(seeds))
        told = "largest |log ratio| of the error to gradient descent's at one small step"
        answers.append(Claim(f"PS215.{rule}", told, largest, 0.05, "less", NAMES[rule]))
    return answers
