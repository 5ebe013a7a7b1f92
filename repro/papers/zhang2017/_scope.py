"""How a caption of this package ends."""

from repro.results import Results


def scope(results: Results) -> str:
    """Scale, data if any is learned from, and hardware."""
    machines = sorted({str(row["hardware"]) for row in results.timing})
    data = "" if results.data == "none" else f", data {results.data}"
    return f"Scale {results.scale}{data}, on {'; '.join(machines)}."
