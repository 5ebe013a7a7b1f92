"""Options of a training that an experiment would accept, put into its digest and never look at are refused."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from repro import config
from repro.errors import UserError
from repro.experiment import module_of
from repro.training.settings import Training

RATE = {"learning_rate"}
DROPOUT = {"dropout_input", "dropout_hidden"}
NO_ROOM = DROPOUT | {"max_norm_squared"}  # nets without dropout, and without layers whose norms were bounded
ON_MAPS = NO_ROOM | {"jitter_pixels"}
ONCE = {"evaluate_every_epochs"}
RETUNED = RATE | ONCE | {"jitter_pixels"}
IGNORED: dict[str, dict[str, set[str]]] = {
    "hinton2015.mnist_students": {"teacher.training": set(), "student.training": RATE},
    "hinton2015.mnist_tuning": {"teacher.training": RATE, "students.0.training": RATE},
    "hinton2015.mnist_temperature": {"widths.0.training": RATE, "widths.1.training": RATE},
    "hinton2015.mnist_omitted_digits": {"student.training": RATE},
    "hinton2015.mnist_transfer_size": {"student.training": RATE},
    "hinton2015.mnist_logit_limit": {"net.training": set()},
    "hinton2015.ensembles": {"tasks.0.net.training": RATE},
    "hinton2015.soft_regularisers": {"tasks.0.net.training": RATE, "tasks.0.full": RATE | ONCE},
    "hinton2015.specialist_generalist": {"training": NO_ROOM},
    "hinton2015.specialist_tuning": {
        "specialists.training": ON_MAPS | ONCE, "specialists.head": ON_MAPS | ONCE, "longer": ON_MAPS | ONCE,
        "distilled.specialists.training": ON_MAPS | ONCE, "distilled.specialists.head": ON_MAPS | ONCE,
        "distilled.training": ON_MAPS | ONCE | RATE, "sweep": ON_MAPS | ONCE,
    },
    "hinton2015.specialists": {
        "specialists.training": ON_MAPS | ONCE, "specialists.head": ON_MAPS | ONCE, "longer": ON_MAPS | ONCE,
    },
    "hinton2015.specialist_overfitting": {"specialists.training": ON_MAPS, "specialists.head": ON_MAPS | ONCE},
    "hinton2015.specialist_distilled": {
        "specialists.training": ON_MAPS | ONCE, "specialists.head": ON_MAPS | ONCE,
        "training": ON_MAPS | ONCE | RATE,
    },
    "hinton2015.specialist_sweep": {"training": ON_MAPS | ONCE},
    "hinton2023.communities": {"learner.training": NO_ROOM | RETUNED | {"precision"}},
    "hinton2023.different_agents": {"learner.training": NO_ROOM | RETUNED | {"precision"}},
    "hinton2023.bits_ten_classes": {"teacher.training": RETUNED, "student.training": RETUNED},
    "hinton2023.bits_hundred_classes": {"teacher.training": RETUNED, "student.training": RETUNED},
    "hinton2023.shared_mistakes": {"learner.training": RETUNED},
    "hinton2023.analogue_copies": {"learner.training": NO_ROOM | RETUNED},
    "hinton2023.mortal_hardware": {"learner.training": NO_ROOM | RETUNED},
    "zhang2017.shuffle": {"training": NO_ROOM | RATE},
    "zoph2017.cells": {"training": NO_ROOM | RATE},
    "botha2017.tagging": {"training": DROPOUT | {"jitter_pixels"} | ONCE},
    "botha2017.languages": {"training": DROPOUT | {"jitter_pixels"} | ONCE},
    "sun2017.data_size": {"training": DROPOUT | RETUNED},
}  # fmt: skip
OTHER_THAN_DEFAULT = {
    "dropout_input": 0.2,
    "dropout_hidden": 0.5,
    "max_norm_squared": 15,
    "jitter_pixels": 2,
    "evaluate_every_epochs": 1,
    "learning_rate": 0.01,
    "precision": "bf16",
}


def changed(root: Path, experiment: str, where: str, option: str, value: Any) -> dict[str, Any]:
    """An experiment's section at scale quick with one option set."""
    paper, _, section = experiment.partition(".")
    content = copied(quick(root)[paper][section])
    found = content
    for key in where.split("."):
        found = found[int(key) if key.isdigit() else key]
    found[option] = value
    return content


def copied(content: Any) -> Any:
    """The same with nothing shared: the file names a training once for several places, and one alone is changed."""
    if isinstance(content, dict):
        return {key: copied(value) for key, value in content.items()}
    return [copied(value) for value in content] if isinstance(content, list) else content


def quick(root: Path) -> dict[str, Any]:
    return yaml.load((root / "config" / "quick.yaml").read_text(), yaml.CSafeLoader)


def loaded(root: Path, experiment: str, where: str, option: str, value: Any) -> config.Scale:
    """Scale quick with one option of an experiment set."""
    paper, _, section = experiment.partition(".")
    content = changed(root, experiment, where, option, value)
    Path("file.yaml").write_text(
        yaml.safe_dump({"scale": "quick", "device": "cpu", paper: {section: content}}), encoding="utf-8"
    )
    return config.load(Path("file.yaml"))


def trainings(value: Any, *path: str) -> Iterator[str]:
    """Where in an experiment's configuration trainings stand."""
    if isinstance(value, Training):
        yield ".".join(path)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from trainings(getattr(value, name), *path, name)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from trainings(inner, *path, name)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, inner in enumerate(value):
            yield from trainings(inner, *path, str(number))


def test_every_training_of_every_experiment_is_looked_at_here(root):
    sections = config.load(root / "config" / "quick.yaml").sections()
    found = {section.name: set(trainings(section.config)) for section in sections}
    assert {name: places for name, places in found.items() if places} == {n: set(p) for n, p in IGNORED.items()}


@pytest.mark.parametrize("experiment", IGNORED)
def test_an_option_that_would_do_nothing_is_refused_by_name_and_no_other(root, one_line, experiment):
    for where, ignored in IGNORED[experiment].items():
        for option, value in OTHER_THAN_DEFAULT.items():
            if option not in ignored:
                model = module_of(*experiment.split(".")).Config
                assert model.model_validate(changed(root, experiment, where, option, value))
                continue
            with pytest.raises(UserError) as raised:
                loaded(root, experiment, where, option, value)
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
