"""What there is to run, and what it costs: the text of ``python -m repro list``."""

from collections.abc import Iterator

from repro import results, runner
from repro.config import Scale, Section
from repro.experiment import module_of


def lines(scale: Scale, name: str | None) -> Iterator[str]:
    """Two lines an experiment; with ``PAPER.EXPERIMENT`` its arms too.

    Raises:
        UserError: the name fits nothing.
    """
    chosen = [s for s in scale.sections() if name in (None, s.paper, s.name)]
    if not chosen and name is not None:
        chosen = [scale.section(name)]  # says what is meant, perhaps
    paper = ""
    for section in chosen:
        if section.paper != paper:
            paper = section.paper
            yield f"{paper} ({scale.path})"
        yield from _about(scale, section)
        if name == section.name:
            yield from _arm_lines(scale, section)


def _about(scale: Scale, section: Section) -> Iterator[str]:
    runs, missing = scale.runs(section), runner.missing(scale, section)
    title = (module_of(section.paper, section.experiment).__doc__ or "").strip().partition("\n")[0]
    spent = sum(_seconds(scale, section).values())
    cost = f"{spent / 60:.1f} minutes on record" if spent else "no cost on record"
    yield f"  {section.experiment:24} {len(runs) - len(missing)}/{len(runs)} runs, {cost}, data {section.data}"
    yield f"      {title}"


def _arm_lines(scale: Scale, section: Section) -> Iterator[str]:
    seconds = _seconds(scale, section)
    arms: dict[str, list[int]] = {}
    for run in scale.runs(section):
        arms.setdefault(run.arm.name, []).append(run.seed)
    for arm, seeds in arms.items():
        known = [seconds[arm, seed] for seed in seeds if (arm, seed) in seconds]
        cost = f"{sum(known) / len(known):.1f} s a run" if known else "not run"
        yield f"    {arm:26} seeds 0-{seeds[-1]}, {cost}"


def _seconds(scale: Scale, section: Section) -> dict[tuple[str, int], float]:
    found = results.load(runner.RESULTS / section.folder(scale.name))
    if found is None:
        return {}
    return {(str(row["arm"]), row["seed"]): row["seconds"] for row in found.timing}
