"""Figures to files: the picture, its numbers, its caption; byte for byte the same when drawn again."""

import io
import textwrap
from pathlib import Path

from repro.files import csv_text, write_files
from repro.plots.drawing import Drawing

DOTS_PER_INCH = 150


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
            path: buffer.getvalue(),
            path.with_suffix(".csv"): csv_text(columns, drawing.data).encode(),
            path.with_suffix(".txt"): caption.encode(),
        }
    )
