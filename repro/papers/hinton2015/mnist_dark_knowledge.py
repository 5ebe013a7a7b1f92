"""The picture of the dark knowledge: test twos beside the teacher's class probabilities at high temperature.

The paper's introduction: one version of a 2 may be given a probability of 1e-6 of being a 3 and 1e-9 of being a
7, and for another version it may be the other way around; softened, these ratios say which twos look like threes
and which look like sevens. Hinton's talks show test images beside such probabilities. Here: the twos whose
second-best class the teacher is surest and least sure of, and one that it gets wrong if there is one.

Trains nothing: it reads what the first teacher of ``mnist_students`` left.
"""

from collections.abc import Sequence

from pydantic import Field, PositiveFloat

from repro.compare import Answer
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015._arms import Section
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"


class Config(Section):
    digit: int = Field(2, ge=0, le=9)
    temperatures: tuple[PositiveFloat, ...] = Field((1.0, 4.0, 20.0), min_length=1)
    examples: int = Field(6, ge=2, description="images shown, a wrongly classified one among them if any")


def arms(config: Config) -> list[Arm]:
    settings = config.model_dump(mode="json")
    return [Arm("teacher", settings, 1, (Need("teacher", experiment="mnist_students", seed=0),))]


def run(arm: Arm, seed: int, context: Context) -> Result:
    import torch

    from repro.distill.objective import soft_targets
    from repro.papers.hinton2015 import _nets as nets

    data = nets.image_set(context.data)
    logits = nets.left_logits(context.inputs["teacher.0"])["test"]
    digit = arm.settings["digit"]
    members = (data.test.labels == digit).nonzero().squeeze(1)
    own = logits[members]
    wrong = members[own.argmax(1) != digit]
    # Spread the right ones over the second-best classes: for each class, the two nearest to it.
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
    from repro.papers.hinton2015._figures import dark_knowledge

    return dark_knowledge(results)


def claims(results: Results) -> Sequence[Answer]:
    return []
