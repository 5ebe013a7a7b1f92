"""For all tests: one thread, as every job of the workflow has; set before torch is imported."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
