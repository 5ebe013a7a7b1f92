"""One package per paper, one module per experiment."""
