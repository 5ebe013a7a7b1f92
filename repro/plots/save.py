"""Figures to files: the picture, its numbers, its caption; byte for byte the same when drawn again.

Logarithms differ in the last bit from one kind of processor to another, and with them the shades along a drawn line.
A picture that looks like the one in place is therefore left as it is.
"""

import io
import textwrap
from pathlib import Path

from repro.files import csv_text, write_files
from repro.plots.drawing import Drawing

DOTS_PER_INCH = 150
ALIKE = 4 / 255  # of the way from black to white, by which a pixel may differ unseen; 2 / 255 were met


def save(drawing: Drawing, path: Path) -> None:
    """Write ``path`` (.png), and beside it the plotted values (.csv) and the caption (.txt).

    Raises:
        UserError: the folder cannot be written to; the message says which of the three are new nevertheless, if any.
    """
    buffer = io.BytesIO()
    # No software name or date in the file: the bytes depend on the picture alone.
    drawing.figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    columns = list(dict.fromkeys(name for row in drawing.data for name in row))
    caption = textwrap.fill(" ".join(drawing.caption.split()), 100) + "\n"
    write_files(
        {
            path: _as_in_place(path, buffer.getvalue()),
            path.with_suffix(".csv"): csv_text(columns, drawing.data).encode(),
            path.with_suffix(".txt"): caption.encode(),
        }
    )


def _as_in_place(path: Path, drawn: bytes) -> bytes:
    """The bytes at ``path``, if there is a picture that looks like the one drawn; else those drawn."""
    from matplotlib.image import imread

    try:
        there = path.read_bytes()
        if there == drawn:
            return drawn
        before, after = (imread(io.BytesIO(content), format="png") for content in (there, drawn))
    except (OSError, SyntaxError, ValueError):  # no file, or no whole picture
        return drawn
    return there if before.shape == after.shape and abs(before - after).max() <= ALIKE else drawn
