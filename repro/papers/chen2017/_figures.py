"""What several experiments draw with."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes


def all_named(panels: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    """Handles and labels for one legend of all panels, each label once."""
    handles, labels = [], []
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    return handles, labels
