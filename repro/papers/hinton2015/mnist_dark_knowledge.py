"""The picture of the dark knowledge: test twos beside the teacher's class probabilities at high temperature.

The paper's introduction: one version of a 2 may be given a probability of 1e-6 of being a 3 and 1e-9 of being a
7, and for another version it may be the other way around; softened, these ratios say which twos look like threes
and which look like sevens. Hinton's talks show test images beside such probabilities. Here: one two that the teacher
gets wrong if there is one, and of the twos with each second-best class the one that is nearest to it in the logits,
nearest first.

Trains nothing: it reads what the first teacher of ``mnist_students`` left.
"""

from collections.abc import Sequence

from pydantic import Field, PositiveFloat

from repro.compare import Answer
from repro.experiment import Arm, Context, Need, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"


class Config(Options):
    digit: int = Field(2, ge=0, le=9)
    temperatures: tuple[PositiveFloat, ...] = Field((1.0, 4.0, 20.0), min_length=1)
    examples: int = Field(6, ge=2, description="images shown, a wrongly classified one among them if any")


def arms(config: Config) -> list[Arm]:
    settings = config.model_dump(mode="json")
    return [Arm("teacher", settings, 1, (Need("teacher", experiment="mnist_students", seed=0),))]


def run(arm: Arm, seed: int, context: Context) -> Result:
    import torch

    from repro.data.sets import load_once
    from repro.distill.objective import soft_targets
    from repro.papers.hinton2015 import _nets as nets

    data = load_once(context.data)
    logits = nets.left_logits(context.inputs["teacher.0"])["test"]
    digit = arm.settings["digit"]
    members = (data.test.labels == digit).nonzero().squeeze(1)
    own = logits[members]
    wrong = members[own.argmax(1) != digit]
    # Of the right ones with each second-best class, the one of the smallest margin over it.
    rivals = own.clone()
    rivals[:, digit] = -torch.inf
    margin = own[:, digit] - rivals.max(1).values
    chosen: list[int] = wrong[:1].tolist()
    order = [int(i) for i in margin.argsort() if int(members[i]) not in wrong.tolist()]
    seen: set[int] = set()
    for i in order:
        rival = int(rivals[i].argmax())
        if rival not in seen and len(chosen) < arm.settings["examples"]:
            seen.add(rival)
            chosen.append(int(members[i]))
    table = []
    for index in chosen:
        pixels = "x" + bytes(data.test.images[index].flatten().tolist()).hex()
        for temperature in arm.settings["temperatures"]:
            probabilities = soft_targets(logits[index], temperature).tolist()
            for c, probability in enumerate(probabilities):
                table.append(
                    {
                        "case": index,
                        "label": digit,
                        "predicted": int(logits[index].argmax()),
                        "temperature": temperature,
                        "class": data.classes[c],
                        "probability": probability,
                        "pixels": pixels if c == 0 and temperature == arm.settings["temperatures"][0] else None,
                        "height": data.test.images.shape[1],
                    }
                )
    at_one, at_high = soft_targets(own, 1.0), soft_targets(own, max(arm.settings["temperatures"]))
    metrics = {
        "cases": len(members),
        "wrong": len(wrong),
        "mass_off_digit_t1": float(1 - at_one[:, digit].mean()),
        "mass_off_digit_high_t": float(1 - at_high[:, digit].mean()),
    }
    return Result(metrics, [], {"examples": table})


def figure(results: Results) -> Drawing:
    """Test images beside the teacher's class probabilities, low T to high."""
    import numpy as np

    from repro.plots.style import COLOURS, axes

    table = results.table("examples")
    cases = list(dict.fromkeys(row["case"] for row in table))
    temperatures_shown = sorted({row["temperature"] for row in table})
    columns = 1 + len(temperatures_shown)
    drawn, panels = axes(columns, len(cases), width_in=1.5 + 2.3 * len(temperatures_shown), height_in=1.25 * len(cases))
    for number, case in enumerate(cases):
        own = [row for row in table if row["case"] == case]
        pixels = next(row["pixels"] for row in own if row["pixels"] is not None)
        height = own[0]["height"]
        image = np.frombuffer(bytes.fromhex(str(pixels)[1:]), np.uint8).reshape(height, -1)
        ax = panels[number * columns]
        ax.imshow(image, cmap="gray_r", interpolation="nearest")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(visible=False)
        ax.spines[["left", "bottom"]].set_visible(False)
        if own[0]["predicted"] != own[0]["label"]:
            ax.set_ylabel("wrong", color=COLOURS[1])
        for column, temperature in enumerate(temperatures_shown, start=1):
            ax = panels[number * columns + column]
            chosen = [row for row in own if row["temperature"] == temperature]
            colours = [COLOURS[1] if i == own[0]["label"] else COLOURS[0] for i in range(len(chosen))]
            ax.bar(range(len(chosen)), [row["probability"] for row in chosen], color=colours)
            ax.set_xticks(range(len(chosen)), [str(i) for i in range(len(chosen))], fontsize=8)
            ax.set_yscale("log")
            ax.set_ylim(1e-9, 1.5)
            ax.set_yticks([1e-8, 1e-4, 1], ["$10^{-8}$", "$10^{-4}$", "1"], fontsize=8)
            ax.minorticks_off()
            ax.grid(axis="x", visible=False)
            if number == 0:
                ax.set_title(f"T = {temperature:g}")
    panels[(len(cases) - 1) * columns + 1].set_xlabel("class")
    metrics = results.rows[0]
    digit = results.config["digit"]
    caption = (
        f"Test images of class {digit} beside the teacher's probabilities (logarithmic), at growing temperature; the "
        f"true class in orange. Chosen to be near different rival classes; the teacher errs on {metrics['wrong']} of "
        f"{metrics['cases']}, and one it gets wrong is shown first if there is one. On average the other classes "
        f"get {metrics['mass_off_digit_t1']:.2%} of the mass at T = 1, {metrics['mass_off_digit_high_t']:.1%} at the "
        "highest T. One teacher. "
    )
    return Drawing(drawn, [{k: v for k, v in row.items() if k != "pixels"} for row in table], caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    return []
