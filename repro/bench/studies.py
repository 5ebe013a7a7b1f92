"""``workflow.paper``: minutes of every study on record at scale paper, summed from its own ``timing.csv``, and of all
studies that share a budget.

Nothing is run. The minutes are of one core or GPU, on the hardware that the study was made on.
"""

from repro import results
from repro.bench import Measurement
from repro.machine import ROOT

# How the names of studies begin, and the hours of one core that they were meant to take together; the first that fits.
BUDGETS_H = {
    "Hinton 2015, sections 4 to 6, and model compression": (
        ("hinton2015.ensembles", "hinton2015.soft", "hinton2015.specialist", "bucila2006"), 6,
    ),
    "Hinton 2015, section 3": (("hinton2015",), 7),
    "simulation": (("scaling",), 1),
    "codistillation": (("anil2018",), 6),
    "learning without backpropagation": (("hinton2023", "ren2022", "werfel2005"), 4),
    "the 2017 review": (("botha2017", "chen2017", "dettmers2017", "sun2017", "zhang2017", "zoph2017"), 3),
}  # fmt: skip


def budget_of(name: str) -> str:
    """The budget of a study, ``<paper>.<experiment>``.

    Raises:
        LookupError: it has none.
    """
    for budget, (begins, _) in BUDGETS_H.items():
        if name.startswith(begins):
            return budget
    raise LookupError(f"{name}: no budget; add one to {__name__}")


def measure() -> list[Measurement]:
    """One row a study, and one a budget."""
    minutes: dict[str, float] = {}
    rows = []
    for study in results.studies(ROOT / "results" / "paper"):
        name = f"{study.meta['paper']}.{study.meta['experiment']}"
        minutes[name] = sum(row["seconds"] for row in study.timing) / 60
        hardware = "; ".join(sorted({str(row["hardware"]) for row in study.timing}))
        rows.append(
            Measurement("workflow.paper", f"{name}, data {study.data}", minutes[name], "min", hardware=hardware)
        )
    hours = dict.fromkeys(BUDGETS_H, 0.0)
    for name, spent in minutes.items():
        hours[budget_of(name)] += spent / 60
    return rows + [
        Measurement("workflow.budget", budget, hours[budget], "CPU-hours", f"<= {most}")
        for budget, (_, most) in BUDGETS_H.items()
    ]
