"""Printed rows as the rules of a verdict meet them: with and without a band, a threshold, unverified, a setting."""

from dataclasses import replace

from repro.published import Published

BANDED = Published(
    "P-1", "p1", "", "sec 3", "e", "test errors", "T=20", 67.0, 51.0, 83.0, "errors", "transcribed", "result"
)
PUBLISHED = {
    row.id: row
    for row in (
        BANDED,
        replace(BANDED, id="P-2", low=None, high=None),
        replace(BANDED, id="P-3", confidence="unverified"),
        replace(BANDED, id="P-4", value=None, low=8.0, high=None),
        replace(BANDED, id="P-5", role="setting"),
        replace(BANDED, id="P-1.part"),
        replace(BANDED, id="Q-1", paper="q2"),
    )
}
