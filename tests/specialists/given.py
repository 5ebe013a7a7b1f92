"""Small specialists on the embedded data, and a context to run them in."""

from pathlib import Path

from repro import config
from repro.experiment import Context
from repro.machine import ROOT
from repro.papers.hinton2015 import specialist_generalist
from repro.papers.hinton2015._specialist_arms import Specialists
from repro.training.settings import Training

TRAINING = Training(epochs=1, batch_size=256, learning_rate=0.05, precision="float32")
SPECIALISTS = Specialists(count=3, size=6, training=TRAINING, head=TRAINING)


def context(folder: Path, work: Path) -> Context:
    work.mkdir(exist_ok=True)
    return Context("hierarchy", {"generalist": folder}, work)


def generalist_config() -> specialist_generalist.Config:
    scale = config.load(ROOT / "config" / "quick.yaml")
    return next(s.config for s in scale.sections() if s.name == "hinton2015.specialist_generalist")
