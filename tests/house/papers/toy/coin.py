"""Tosses of minted coins: an experiment of milliseconds that keeps the contract of `repro.experiment`.

`TOY_KILL=<arm> <seed>` in the environment makes that run end its own process, half-way, by SIGKILL;
`TOY_HOLD=<arm> <seed>` makes it wait, half-way, for the end of the pipe `hold` in the working folder.
"""

import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from repro.compare import Answer, Claim, NotRun, Value
from repro.experiment import Arm, Context, Need, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "digits", "cluster": "digits"}
PRINTED_DATA = "digits"
DONE: list[str] = []  # "<arm> <seed>" of every run begun in this process


class Config(Options):
    tosses: int = Field(10, gt=0)
    seeds: int = Field(3, ge=1)
    excuse: str = "nobody has such a coin"  # of figure and claims alone
    trouble: Literal["", "metric", "curve", "table", "raise"] = ""


def arms(config: Config) -> list[Arm]:
    settings = {"tosses": config.tosses}
    tossing = settings | {"trouble": config.trouble}
    return [
        Arm("mint", settings, 2),
        Arm("toss", tossing, config.seeds, (Need("mint"),)),
        Arm("toss.fair", settings, config.seeds),
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    DONE.append(f"{arm.name} {seed}")
    draw = random.Random(f"{arm.name} {seed}")
    if arm.name == "mint":
        (context.work / "bias.txt").write_text(repr(draw.random()), encoding="utf-8")
        return Result({"struck": 1})
    bias = float((context.inputs["mint"] / "bias.txt").read_text()) if arm.needs else 0.5
    tosses = [draw.random() < bias for _ in range(arm.settings["tosses"])]
    (context.work / "half").write_text("way", encoding="utf-8")
    if os.environ.get("TOY_KILL") == DONE[-1]:
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("TOY_HOLD") == DONE[-1]:
        Path("hold").read_bytes()
    trouble = arm.settings.get("trouble")
    if trouble == "raise":
        raise RuntimeError("the coin rolled away")
    heads, nan = sum(tosses), float("nan")
    curve = [(1, n, "test", "heads", nan if trouble == "curve" else float(h)) for n, h in enumerate(tosses, start=1)]
    table = [{"bias": bias, "share": nan if trouble == "table" else heads / len(tosses)}]
    return Result({"heads": nan if trouble == "metric" else heads, "share": heads / 3}, curve, {"shares": table})


def figure(results: Results) -> Drawing:
    from repro.plots.style import axes

    picture, (ax,) = axes()
    shares = results.table("shares")
    ax.plot([row["seed"] for row in shares], [row["share"] for row in shares], "o")
    return Drawing(
        picture,
        [{"seed": row["seed"], "share": row["share"]} for row in shares],
        f"Shares of heads; {results.config['excuse']}.",
    )


def claims(results: Results) -> Sequence[Answer]:
    heads = tuple(results.values("toss", "heads").values())
    return [
        Value("TOY-1.toss", heads),
        Claim(
            "TOY-1.fair",
            "heads, minted minus fair",
            tuple(results.paired("toss", "toss.fair", "heads")),
            direction="less",
        ),
        NotRun("TOY-2", results.config["excuse"]),
    ]
