"""Figures to files: the picture, its numbers, its caption; byte for byte the same when drawn again."""

import io
import textwrap
from pathlib import Path

from repro.errors import UserError
from repro.files import csv_text, write_text
from repro.plots.drawing import Drawing

DOTS_PER_INCH = 150


def save(drawing: Drawing, path: Path) -> None:
    """Write ``path`` (.png), and beside it the plotted values (.csv) and the caption (.txt).

    Raises:
        UserError: the folder cannot be written to.
    """
    buffer = io.BytesIO()
    # No software name or date in the file: the bytes depend on the picture alone.
    drawing.figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    columns = list(dict.fromkeys(name for row in drawing.data for name in row))
    write_text(path.with_suffix(".csv"), csv_text(columns, drawing.data))
    write_text(path.with_suffix(".txt"), textwrap.fill(" ".join(drawing.caption.split()), 100) + "\n")
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(buffer.getvalue())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
