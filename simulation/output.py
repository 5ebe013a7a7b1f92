"""What commands share: figures and tables written whole."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulation.description import write_atomically
from simulation.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write text to a file, whole or not at all."""

    def write(aside: Path) -> None:
        aside.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def check_output(path: Path | None) -> None:
    """Refuse a file that could not be written, before anything long is done.

    Raises:
        UserError: a folder that is not there or takes no files, or something in the way that is no file.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise UserError(f"{path}: its folder does not exist: make it first")
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no ordinary file"
        raise UserError(f"{path}: is {kind}: give the name of the file to write")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: its folder cannot be written: choose another")


def check_figure(path: Path | None) -> None:
    """Refuse a figure that could not be saved, before anything long is done.

    Raises:
        UserError: a folder, an ending that is not known, or what `check_output` refuses.
    """
    if path is None:
        return
    check_output(path)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"{path}: figures are .png, .svg or .pdf: choose one of these endings")


def draw_to(path: Path, draw: Callable[[Any], None]) -> None:
    """Draw on a new figure and save it whole, without dates, so that the same data give the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    check_figure(path)
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
    with matplotlib.rc_context({"svg.hashsalt": "simulation", "font.size": 9}):
        figure = Figure(figsize=(8, 6), layout="constrained")
        draw(figure)
        write_atomically(path, lambda aside: figure.savefig(aside, dpi=150, metadata=dates))
