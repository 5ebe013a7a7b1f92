"""Best steps, and how learning slows with the size of the layer: why weight perturbation stops scaling.

The abstract: with the step chosen for the fastest learning, node perturbation is slower than direct gradient descent by
the number of outputs, and weight perturbation slower than node perturbation by the number of inputs; the largest step
falls inversely with the dimension of the injected noise.

Here, in the forward-mode limit s = 0. One step from a random error: the mean factor by which the error changes, at
several multiples of the rule's exact best step, beside the exact parabola 1 - 2h + h^2 k. Then square layers of growing
size: steps until the mean error has fallen to a tenth, at the best step, simulated and exact. The steps grow with the
number of weights P as sqrt(P), P and P sqrt(P): weight perturbation pays for every weight on top of every input.

Verdicts: the mean squared length of an update gives the noise factor k, which must be the exact one to 5 %; the ratio
of steps between two rules must be the exact one to 10 %, over sizes; the error must grow at 2.2 and fall at 1.8 times
the best step, the edge being at 2. The best step multiplies the mean error by 1 - 1/k, so that the steps to a tenth are
log(1/10) / log(1 - 1/k): in the ratio of two rules the printed factors show only where k is large. Small layers have
more replicates, for their mean error rests on a few slow ones.

Departures: the printed factors M and N are those of large layers, and ours the exact ones they come from; the best step
is known from theory and not searched for. Cost at scale ``paper``: up to a minute of one core a run.
"""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt

from repro.compare import Answer, Claim, t_interval
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.papers.werfel2005._maps import NAMES, RULES, Map
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": NO_DATA, "paper": NO_DATA, "cluster": NO_DATA}
PRINTED_DATA = NO_DATA
PRINTED_FACTOR = {"gradient": "PS217", "node": "PS219", "weight": "PS221"}
SLOWER = {"PS212": ("node", "gradient"), "PS213": ("weight", "node")}
EDGES = {"grows": 2.2, "falls": 1.8}
TARGET = 0.1  # of the starting error


class Config(Options):
    """``sides``: square layers of so many outputs and inputs; ``multiples`` of the best step in the one-step map."""

    seeds: int = Field(5, ge=2)
    outputs: int = Field(5, ge=1)
    inputs: int = Field(10, ge=1)
    multiples: tuple[PositiveFloat, ...] = (0.25, 0.5, 1.0, 1.5, 1.8, 2.2)
    draws: int = Field(ge=2, description="one-step changes averaged, a seed")
    sides: tuple[PositiveInt, ...] = Field(min_length=2)
    replicates: int = Field(ge=2, description="of the largest layer, whose mean error has to reach the target, a seed")


def arms(config: Config) -> list[Arm]:
    listed = []
    for rule in RULES:
        settings = {
            "rule": rule, "outputs": config.outputs, "inputs": config.inputs, "multiples": list(config.multiples),
            "draws": config.draws,
        }  # fmt: skip
        listed.append(Arm(f"{rule}.one_step", settings, config.seeds, seeds_per_job=config.seeds, device="cpu"))
        for side in config.sides:
            replicates = round(config.replicates * (max(config.sides) / side) ** 3)
            settings = {"rule": rule, "outputs": side, "inputs": side, "replicates": replicates}
            listed.append(Arm(f"{rule}.side{side}", settings, config.seeds, seeds_per_job=config.seeds, device="cpu"))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    import numpy as np

    from repro.training.keys import generator_seed

    generator = np.random.default_rng(generator_seed(seed, "werfel", arm.name))
    return (_one_step if "draws" in arm.settings else _steps_to_target)(arm, generator)


def _one_step(arm: Arm, generator: Any) -> Result:
    from repro.papers.werfel2005._simulation import simulate

    s = arm.settings
    exact = Map(s["rule"], s["outputs"], s["inputs"])
    rows = []
    for multiple in s["multiples"]:
        step = multiple * exact.best_step
        after = simulate(
            s["rule"], s["outputs"], s["inputs"], step=step, noise_sd=0.0, observe=[1], replicates=s["draws"],
            generator=generator,
        ).mean()  # fmt: skip
        # k from the change of one step: the mean of the update is known, so its squared length is what is left.
        factor = (after - 1 + 2 * step) / step**2
        rows.append({"multiple": multiple, "factor": float(after), "noise_factor": float(factor)})
    largest = max(rows, key=lambda row: row["multiple"])  # where the square weighs most against the noise of the mean
    return Result(
        {"noise_factor": largest["noise_factor"], "noise_factor_exact": exact.noise_factor}, tables={"one_step": rows}
    )


def _steps_to_target(arm: Arm, generator: Any) -> Result:
    import numpy as np

    from repro.papers.werfel2005._simulation import simulate

    s = arm.settings
    exact = Map(s["rule"], s["outputs"], s["inputs"])
    expected = steps_to_target(exact)
    observe = sorted({0, *(max(1, round(expected * share)) for share in np.linspace(0.7, 1.5, 33))})
    means = simulate(
        s["rule"], s["outputs"], s["inputs"], step=exact.best_step, noise_sd=0.0, observe=observe,
        replicates=s["replicates"], generator=generator,
    ).mean(1)  # fmt: skip
    # From the first look at or below the target back to the one before, along the logarithm of the error.
    first = int(np.argmax(means <= TARGET)) if (means <= TARGET).any() else len(observe) - 1
    above, below = np.log(means[first - 1] / TARGET), np.log(means[first] / TARGET)
    steps = observe[first - 1] + (observe[first] - observe[first - 1]) * above / (above - below)
    return Result({"steps": float(steps), "steps_exact": expected})


def steps_to_target(exact: Map) -> float:
    """Steps until the mean error has fallen to a tenth, each at its best: not a whole number."""
    return math.log(TARGET) / math.log(exact.contraction(exact.best_step))


def figure(results: Results) -> Drawing:
    from repro.plots.style import COLOURS, MARKERS, axes, legend, plain_ticks

    config = Config.model_validate(results.config)
    drawn, (left, right) = axes(2, width_in=11.0, height_in=4.6)
    data: list[dict[str, Any]] = []
    table = results.table("one_step")
    most = max(config.multiples)
    for number, rule in enumerate(RULES):
        style: dict[str, Any] = {"color": COLOURS[number], "fmt": MARKERS[number], "capsize": 2, "ms": 5.5}
        exact = Map(rule, config.outputs, config.inputs)
        line = [most * k / 60 for k in range(61)]
        # Seen from the best step the parabolas of all rules are one, but for their depth 1/k.
        depth = 1 - exact.contraction(exact.best_step)
        scaled = [(exact.contraction(m * exact.best_step) - 1) / depth for m in line]
        if number == 0:
            left.plot(line, scaled, "-", color="#444444", lw=1.3, label="exact, all three")
        for multiple in config.multiples:
            values = [
                (r["factor"] - 1) / depth for r in table if r["arm"] == f"{rule}.one_step" and r["multiple"] == multiple
            ]
            if not values:
                continue
            mean, low, high = t_interval(values)
            shifted = multiple + 0.03 * (number - 1)
            left.errorbar([shifted], [mean], yerr=[0.0 if high is None else high - mean], **style)
            data.append(
                {"panel": "one step", "rule": rule, "x": multiple, "exact": multiple**2 - 2 * multiple}
                | {"mean": mean, "low": low, "high": high, "n": len(values)}
            )
        marks = []
        for side in config.sides:
            steps = list(results.values(f"{rule}.side{side}", "steps").values())
            if steps:
                marks.append((side * side, *t_interval(steps)))
                exact_steps = next(iter(results.values(f"{rule}.side{side}", "steps_exact").values()))
                data.append(
                    {"panel": "size", "rule": rule, "x": side * side, "exact": exact_steps}
                    | {"mean": marks[-1][1], "low": marks[-1][2], "high": marks[-1][3], "n": len(steps)}
                )
        exact_line = [(row["x"], row["exact"]) for row in data if row["panel"] == "size" and row["rule"] == rule]
        right.plot([x for x, _ in exact_line], [y for _, y in exact_line], "-", color=COLOURS[number], lw=1.3)
        half = [0.0 if high is None else high - mean for _, mean, _, high in marks]
        right.errorbar([m[0] for m in marks], [m[1] for m in marks], yerr=half, label=NAMES[rule], **style)
    left.axhline(0, color="#888888", lw=1)
    left.set_xlabel("step / best step")
    left.set_ylabel("change of the error in a step\n(best step: −1)")
    legend(left)
    right.set_xscale("log")
    right.set_yscale("log")
    plain_ticks(right.xaxis, [side * side for side in config.sides])
    right.set_xlabel("weights in a square layer")
    right.set_ylabel("steps to a tenth of the error")
    legend(right)
    caption = (
        f"Left: relative change of the mean error in one step from a random error ({config.outputs} outputs, "
        f"{config.inputs} inputs, {config.draws:,} draws a seed), in units of the best possible change 1/k; beyond "
        f"twice the best step the error grows. Right: steps until the mean error of {config.replicates:,} replicates "
        "(smaller layers: more) is a tenth, each rule at its own best step. Lines: exact; marks: simulation, mean and "
        f"95 % t-interval over n = {config.seeds} seeds; exact directional derivatives (s = 0). "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = []
    for rule, row in PRINTED_FACTOR.items():
        exact = Map(rule, config.outputs, config.inputs).noise_factor
        off = tuple(abs(k / exact - 1) for k in results.values(f"{rule}.one_step", "noise_factor").values())
        answers.append(
            Claim(row, "|simulated noise factor k / exact - 1|; best step 1/k", off, 0.05, "less", NAMES[rule])
        )
    for row, (slow, fast) in SLOWER.items():
        ratios = [_ratio_off(results, slow, fast, side) for side in config.sides]
        seeds = sorted(set.intersection(*(set(r) for r in ratios)))
        worst = tuple(max(r[seed] for r in ratios) for seed in seeds)
        told = f"largest |ratio of steps, {NAMES[slow]} / {NAMES[fast]}, over the exact one - 1|"
        sizes = f"square layers of {', '.join(map(str, config.sides))} outputs"
        answers.append(Claim(row, told, worst, 0.1, "less", sizes))
    for name, multiple in EDGES.items():
        changes = [
            [
                r["factor"] - 1
                for r in results.table("one_step")
                if (r["arm"], r["multiple"]) == (f"{rule}.one_step", multiple)
            ]
            for rule in RULES
        ]
        extreme = tuple((min if name == "grows" else max)(seed) for seed in zip(*changes, strict=True))
        which = "least" if name == "grows" else "largest"
        told = f"change of the error in a step {multiple:g} times the best, {which} of the rules"
        answers.append(Claim(f"PS214.{name}", told, extreme, 0, "greater" if name == "grows" else "less"))
    return answers


def _ratio_off(results: Results, slow: str, fast: str, side: int) -> dict[int, float]:
    """|ratio of the simulated steps of two rules over that of the exact ones - 1| by seed."""
    exact = steps_to_target(Map(slow, side, side)) / steps_to_target(Map(fast, side, side))
    a, b = (results.values(f"{rule}.side{side}", "steps") for rule in (slow, fast))
    return {seed: abs(a[seed] / b[seed] / exact - 1) for seed in a.keys() & b.keys()}
