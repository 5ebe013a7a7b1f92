"""Sodhani, Delalleau, Assran, Sinha, Ballas, Rabbat 2020, A Closer Look at Codistillation for Distributed Training.

No experiment of its own: those of ``repro.papers.anil2018`` speak to its findings too.
"""

from repro.papers.paper import Paper

PAPER = Paper(
    "sodhani2020", "Sodhani et al. 2020: A Closer Look at Codistillation for Distributed Training", "2010.02838"
)
