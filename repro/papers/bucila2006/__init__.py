"""Bucila, Caruana, Niculescu-Mizil 2006, Model Compression, KDD 2006."""

from repro.papers.paper import Paper

PAPER = Paper("bucila2006", "Bucila, Caruana, Niculescu-Mizil 2006: Model Compression")
