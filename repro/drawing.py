"""From recorded results to the experiment's figure."""

from pathlib import Path

from repro import runner
from repro.config import Scale, Section
from repro.errors import UserError
from repro.experiment import module_of
from repro.plots.save import save

FIGURES = Path("paper_figures")


def figure_path(scale: Scale, section: Section) -> Path:
    """``paper_figures/<scale>/<paper>/<experiment>.png``."""
    return FIGURES / section.folder(scale.name).with_suffix(".png")


def draw(scale: Scale, section: Section) -> Path:
    """Record what the cache holds and the results do not, then draw; nothing is trained.

    Raises:
        UserError: nothing is on record.
    """
    runner.collect(scale, section)
    found = runner.on_record(scale, section)
    if found is None:
        raise UserError(
            f"{section.name}: no results at scale {scale.name}; first python -m repro run {section.name} "
            f"--config {scale.path}"
        )
    path = figure_path(scale, section)
    save(module_of(section.paper, section.experiment).figure(found), path)
    return path
