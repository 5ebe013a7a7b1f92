"""Options of a training that an experiment would accept, put into its digest and never look at are refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from repro import config
from repro.errors import UserError

TRAINING = {
    "zhang2017.shuffle": ("training", ("dropout_input", "dropout_hidden", "max_norm_squared", "learning_rate")),
    "zoph2017.cells": ("training", ("dropout_input", "dropout_hidden", "max_norm_squared", "learning_rate")),
    "botha2017.tagging": ("training", ("dropout_input", "dropout_hidden", "jitter_pixels", "evaluate_every_epochs")),
    "botha2017.languages": ("training", ("dropout_hidden",)),
    "sun2017.data_size": (
        "training",
        ("dropout_input", "dropout_hidden", "jitter_pixels", "evaluate_every_epochs", "learning_rate"),
    ),
    "hinton2015.mnist_students": ("student.training", ("learning_rate",)),
    "hinton2015.mnist_tuning": ("teacher.training", ("learning_rate",)),
    "hinton2015.ensembles": ("tasks.0.net.training", ("learning_rate",)),
    "hinton2015.soft_regularisers": ("tasks.0.net.training", ("learning_rate",)),
    "hinton2015.specialist_generalist": ("training", ("dropout_input", "dropout_hidden", "max_norm_squared")),
    "hinton2015.specialist_overfitting": (
        "specialists.training",
        ("dropout_input", "dropout_hidden", "max_norm_squared", "jitter_pixels"),
    ),
    "hinton2015.specialist_tuning": ("specialists.head", ("jitter_pixels", "evaluate_every_epochs")),
    "hinton2015.specialists": ("specialists.training", ("jitter_pixels", "evaluate_every_epochs")),
    "hinton2015.specialist_distilled": ("training", ("dropout_hidden", "evaluate_every_epochs")),
    "hinton2015.specialist_sweep": ("training", ("max_norm_squared", "evaluate_every_epochs")),
    "hinton2023.shared_mistakes": ("learner.training", ("jitter_pixels", "evaluate_every_epochs", "learning_rate")),
    "hinton2023.communities": ("learner.training", ("max_norm_squared", "precision", "dropout_hidden")),
    "hinton2023.different_agents": ("learner.training", ("dropout_hidden", "max_norm_squared", "precision")),
    "hinton2023.analogue_copies": ("learner.training", ("dropout_input", "max_norm_squared")),
    "hinton2023.mortal_hardware": ("learner.training", ("dropout_hidden", "max_norm_squared")),
}
OTHER_THAN_DEFAULT = {
    "dropout_input": 0.2,
    "dropout_hidden": 0.5,
    "max_norm_squared": 15,
    "jitter_pixels": 2,
    "evaluate_every_epochs": 1,
    "learning_rate": 0.01,
    "precision": "bf16",
}


def loaded(root: Path, experiment: str, where: str, option: str, value: Any) -> config.Scale:
    """Scale quick with one option of an experiment set."""
    content = yaml.safe_load((root / "config" / "quick.yaml").read_text())
    paper, _, section = experiment.partition(".")
    found = content[paper][section]
    for key in where.split("."):
        found = found[int(key) if key.isdigit() else key]
    found[option] = value
    Path("file.yaml").write_text(
        yaml.safe_dump({"scale": "quick", "device": "cpu", paper: {section: content[paper][section]}})
    )
    return config.load(Path("file.yaml"))


@pytest.mark.parametrize(
    ("experiment", "where", "option"),
    [(experiment, where, option) for experiment, (where, options) in TRAINING.items() for option in options],
)
def test_an_option_that_would_do_nothing_is_refused_by_name(root, one_line, experiment, where, option):
    with pytest.raises(UserError) as raised:
        loaded(root, experiment, where, option, OTHER_THAN_DEFAULT[option])
    told = one_line(raised.value)
    assert experiment in told
    assert option in told


@pytest.mark.parametrize(
    ("experiment", "where", "option", "value"),
    [
        ("hinton2015.mnist_students", "teacher.training", "learning_rate", 0.01),
        ("hinton2015.mnist_students", "student.training", "dropout_hidden", 0.5),
        ("hinton2015.specialist_overfitting", "specialists.training", "evaluate_every_epochs", 1),
        ("hinton2023.shared_mistakes", "learner.training", "dropout_hidden", 0.5),
        ("hinton2023.communities", "learner.training", "precision", "float32"),
        ("zhang2017.shuffle", "training", "jitter_pixels", 2),
        ("botha2017.tagging", "training", "max_norm_squared", 15),
        ("sun2017.data_size", "training", "learning_rate", 0.1),  # as recorded configs have it: the default
    ],
)
def test_an_option_that_is_heeded_is_not(root, experiment, where, option, value):
    assert loaded(root, experiment, where, option, value).section(experiment)


def test_agents_in_lockstep_have_no_least_steps(root, one_line):
    with pytest.raises(UserError, match="least_steps would do nothing") as raised:
        loaded(root, "hinton2023.communities", "learner", "least_steps", 100)
    one_line(raised.value)


@pytest.mark.parametrize(
    ("net", "option"),
    [({"channels": [4]}, "dropout_input"), ({"channels": [4]}, "max_norm_squared"), ({"hidden": []}, "dropout_hidden")],
)
def test_what_a_small_net_heeds_depends_on_its_layers(root, one_line, net, option):
    whole = {"hidden": [], "training": {"epochs": 1, option: OTHER_THAN_DEFAULT[option]}} | net
    with pytest.raises(UserError, match=f"{option} would do nothing") as raised:
        loaded(root, "hinton2015.soft_regularisers", "tasks.0", "net", whole)
    one_line(raised.value)
