"""Learning from another model: objectives, soft targets, ensembles, bias correction."""
