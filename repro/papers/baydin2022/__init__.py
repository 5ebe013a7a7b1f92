"""Baydin, Pearlmutter, Syme, Wood, Torr 2022, Gradients without Backpropagation, arXiv 2202.08587.

No experiment of its own: ``repro.papers.ren2022.cost`` measures what its runtimes were printed for.
"""

from repro.papers.paper import Paper

PAPER = Paper("baydin2022", "Baydin et al. 2022: Gradients without Backpropagation", "2202.08587")
