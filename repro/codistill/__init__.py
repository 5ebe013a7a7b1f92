"""Codistillation on real processes, its recorded schedules, and their replay (Anil et al. 2018, 1804.03235)."""
