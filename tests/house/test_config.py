"""Config files: shipped ones load, mistakes are one line that names file, key and remedy."""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from repro import config
from repro.errors import UserError
from repro.experiment import BY_ARM, module_of

CONFIGS = Path(__file__).parents[2] / "config"

GOOD = """
scale: quick
device: cpu
hinton2015:
  mnist_students:
    teacher: &net {hidden: [8], training: &training {epochs: 2, batch_size: 32}}
    student: &student
      hidden: [4]
      training: *training
      rates: {hard: 0.1, soft: 0.1, soft_hard: 0.1}
      hard_weight: 1
  mnist_omitted_digits:
    student: *student
    transfer_sets:
      - {name: no3, omit: [3], epochs: 1}
  mnist_temperature:
    temperatures: [1, 20]
    widths: [{hidden: [4], training: *training, rates: {hard: 1, soft: 1, soft_hard: 1}, hard_weight: 1, seeds: 1}]
  mnist_transfer_size: {sizes: [10, 20], least_steps: 5, student: *student}
  mnist_dark_knowledge: {digit: 2}
"""


@pytest.fixture
def refused(own_place: Path, one_line: Callable[[BaseException], str]) -> Callable[[str], str]:
    """What is said of a file with this text, after the file's name."""

    def message(text: str) -> str:
        path = own_place / "bad.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError) as raised:
            config.load(path)
        line = one_line(raised.value)
        assert line.startswith(f"{path}: ")
        return line.removeprefix(f"{path}: ")

    return message


def load(text: str) -> config.Scale:
    path = Path("good.yaml")
    path.write_text(text, encoding="utf-8")
    return config.load(path)


def test_a_good_file_is_what_it_says():
    scale = load(GOOD)
    assert (scale.name, scale.device) == ("quick", "cpu")
    section = scale.section("hinton2015.mnist_students")
    assert (section.data, section.swapped, section.name) == ("digits", False, "hinton2015.mnist_students")
    assert section.config.teacher.hidden == (8,)
    assert section.folder("quick") == Path("quick/hinton2015/mnist_students")
    assert [s.experiment for s in scale.sections()][:2] == ["mnist_students", "mnist_omitted_digits"]
    assert sum(run.arm.name == "teacher" for run in scale.runs(section)) == 3


def test_other_data_have_other_folders_and_digests():
    own, other, same = (
        load(GOOD.replace("hinton2015:", f"hinton2015:\n  data: {data}" if data else "hinton2015:"))
        for data in ("", "fashion-mnist", "digits")
    )
    folders = {str(scale.section("hinton2015.mnist_students").folder("quick")) for scale in (own, other)}
    assert folders == {"quick/hinton2015/mnist_students", "quick/hinton2015-fashion-mnist/mnist_students"}
    assert other.section("hinton2015.mnist_students").swapped
    assert not same.section("hinton2015.mnist_students").swapped, "its own data, named, are not swapped in"
    digests = [{run.digest for s in scale.sections() for run in scale.runs(s)} for scale in (own, other, same)]
    assert digests[0] == digests[2]
    assert digests[0].isdisjoint(digests[1])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("device: cpu", "devise: cpu", "devise: unknown key; did you mean device?"),
        ("device: cpu", "device: tpu", "device: Input should be 'auto', 'cpu' or 'cuda' (it is 'tpu')"),
        ("scale: quick", "", "scale: is missing; add it"),
        ("scale: quick", "scale: huge", "scale: Input should be 'quick', 'paper' or 'cluster' (it is 'huge')"),
        ("hinton2015:", "hinton2051:", "hinton2051: unknown key; did you mean hinton2015?"),
        (
            "  mnist_students:",
            "  mnist_student:",
            "hinton2015.mnist_student: no such experiment; did you mean mnist_s",
        ),
        ("  mnist_students:", "  _arms:", "hinton2015._arms: no such experiment"),
        ("batch_size", "batchsize", "mnist_students.teacher.training.batchsize: unknown key; did you mean batch_size?"),
        ("hard_weight: 1\n  ", "\n  ", "mnist_students.student.hard_weight: is missing; add it"),
        ("epochs: 2", "epochs: -2", "teacher.training.epochs: Input should be greater than 0 (it is -2)"),
        ("epochs: 2", "epochs: two", "epochs: Input should be a valid integer"),
        ("epochs: 2", "epochs: 1.5", "epochs: Input should be a valid integer"),
        ("epochs: 2", "epochs: 2, weight_decay: .inf", "teacher.training.weight_decay: must be a finite number"),
        ("epochs: 2", "epochs: 2, weight_decay: inf", "teacher.training.weight_decay: must be a finite number"),
        ("epochs: 2", "epochs: 2, learning_rate: .nan", "teacher.training.learning_rate: Input should be greater"),
        ("hidden: [8]", "hidden: [0]", "teacher.hidden.0: Input should be greater than 0 (it is 0)"),
        ("hidden: [8]", "hidden: []", "teacher.hidden: Tuple should have at least 1 item"),
        ("    teacher:", "    temperature: 0\n    teacher:", "temperature: Input should be greater than 0 (it is 0)"),
        ("    teacher:", "    temperature: -3\n    teacher:", "temperature: Input should be greater than 0 (it is -3)"),
        ("[1, 20]", "[0, 20]", "mnist_temperature.temperatures.0: Input should be greater than 0"),
        ("[1, 20]", "[.inf, 20]", "mnist_temperature.temperatures.0: must be a finite number"),
        ("[10, 20]", "[0, 20]", "mnist_transfer_size.sizes.0: Input should be greater than 0"),
        ("omit: [3]", "omit: [11]", "transfer_sets.0.omit: classes are digits 0 to 9 (it is [11])"),
        ("omit: [3]", "omit: []", "each transfer set has either omit or keep, with at least one digit"),
        ("omit: [3]", "omit: [3], keep: [4]", "each transfer set has either omit or keep"),
        (
            "omit: [3]",
            "omit: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]",
            "transfer_sets: a transfer set without any digit is empty",
        ),
        ("hard_weight", "hard_wieght", "student.hard_wieght: unknown key; did you mean hard_weight?"),
        ("digit: 2", "digit: 11", "mnist_dark_knowledge.digit: Input should be less than or equal to 9 (it is 11)"),
        ("{digit: 2}", "false", "mnist_dark_knowledge: Input should be a valid dictionary"),
        ("{digit: 2}", "[]", "mnist_dark_knowledge: Input should be a valid dictionary"),
        ("{digit: 2}", "{digit: 2, digit: 3}", "is not valid YAML (digit stands twice"),
        ("hinton2015:", "hinton2015:\n  data: 3", "hinton2015.data: must be the name of a data set, not 3"),
        ("hinton2015:", "hinton2015:\n  data: ''", "hinton2015.data: must be the name of a data set, not ''"),
        ("hinton2015:", "hinton2015:\n  data: ../x", "hinton2015.data: must be the name of a data set, not '../x'"),
        ("hinton2015:", "hinton2015: 3\nother:", "other: unknown key"),
    ],
)
def test_mistakes_name_the_key_and_the_remedy(refused, old, new, told):
    assert old in GOOD
    assert told in refused(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must map keys to values, beginning with 'scale:'"),
        ("quick", "must map keys to values"),
        ("[1, 2]", "must map keys to values"),
        ("1: 2", "must map keys to values"),
        ("scale: [", "is not valid YAML"),
        ("scale: quick\nscale: paper", "is not valid YAML (scale stands twice"),
        ("scale: 2001-99-99", "is not valid YAML (month must be"),
        ("scale: !!timestamp x", "is not valid YAML"),
        ("scale: !!int ''", "is not valid YAML"),
        ("scale: 0b_", "is not valid YAML"),
        ("scale: *absent", "is not valid YAML"),
        ("scale: !!python/object:os.system x", "is not valid YAML"),
        ("scale: " + "[" * 1100, "is not valid YAML"),
        ("scale: quick\nhinton2015: 3", "hinton2015: must map experiments to their settings"),
        ("scale: quick\nhinton2015:", "hinton2015: must map experiments to their settings"),
        ("scale: quick\nhinton2015: {3: 4}", "hinton2015.3: no such experiment"),
        ("scale: quick\nhinton2015: {mnist_dark_knowledge: {3: 4}}", "Keys should be strings"),
        ('scale: quick\nhinton2015: {mnist_dark_knowledge: {"a\\nb": 4}}', "unknown key"),
        ("scale: quick\nhinton2015: {mnist_dark_knowledge: &a [*a]}", "Input should be a valid dictionary"),
    ],
)
def test_what_is_no_config_is_said_in_one_line(refused, text, told):
    assert told in refused(text)


def test_long_values_are_shortened_in_messages(refused):
    line = refused(GOOD.replace("digit: 2", f"digit: {list(range(1000))}"))
    assert "..." in line
    assert len(line) < 200


def test_files_that_cannot_be_read_are_named(own_place, one_line):
    (own_place / "latin.yaml").write_bytes(b"scale: \xff")
    for name, told in (("absent.yaml", "No such file"), (".", "Is a directory"), ("latin.yaml", "can't decode")):
        with pytest.raises(UserError) as raised:
            config.load(own_place / name)
        assert one_line(raised.value).startswith(f"{own_place / name}: cannot be read")
        assert told in str(raised.value)


def test_sections_that_are_not_there_are_suggested():
    with pytest.raises(UserError, match=r"no experiment hinton2015\.mnist_student; did you mean hinton2015\.mnist_st"):
        load(GOOD).section("hinton2015.mnist_student")


def test_a_grid_without_the_rate_it_needs_is_refused_when_planned(one_line):
    text = """
scale: quick
hinton2015:
  mnist_tuning:
    held_out: 3
    teacher: &net {hidden: [4], training: {epochs: 1}}
    teacher_rates: [0.1]
    teacher_rate: 0.2
    students:
      - {<<: *net, hard_weight: 1, rates: [0.1]}
"""
    scale = load(text)
    with pytest.raises(UserError) as raised:
        scale.runs(scale.section("hinton2015.mnist_tuning"))
    assert "no arm teacher.rate0.2" in one_line(raised.value)


def test_the_shipped_config_runs_on_other_data_by_one_line(own_place):
    text = (CONFIGS / "paper.yaml").read_text(encoding="utf-8")
    line = "  # data: fashion-mnist"
    assert line in text
    scale = load(text.replace(line, "  data: fashion-mnist"))
    sections = [section for section in scale.sections() if section.paper == "hinton2015"]
    naming_their_own = {s.experiment for s in sections if module_of(s.paper, s.experiment).DATA["paper"] == BY_ARM}
    assert naming_their_own == {"ensembles", "soft_regularisers"}
    assert all(section.swapped == (section.experiment not in naming_their_own) for section in sections)


PIECES = [
    "", " ", "\n", "  ", ":", "-", "[", "]", "{", "}", "&a", "*a", "<<: ", "!!int ", "#", "'", '"', "|", "?", "%",
    "@", ",", "0", "-1", "11", "1e9", ".inf", ".nan", "null", "true", "2001-13-01", "0x_", "é", "\t", "\x00",
    "scale: quick\n",
]  # fmt: skip
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    3,
    11,
    0.5,
    -0.5,
    float("inf"),
    float("nan"),
    "",
    "x",
    "../y",
    [],
    [0],
    {},
    {"a": 1},
]


def judged(text: str) -> None:
    """Loads and plans, or is refused in one line that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mutant.yaml")
        path.write_text(text, encoding="utf-8")
        said = []
        try:
            scale = config.load(path)
            for section in scale.sections():
                scale.runs(section)
        except UserError as error:
            said = [str(error)]
    for line in said:
        assert line.startswith((f"{path}: ", "hinton2015", "arm "))
        assert "\n" not in line


@settings(deadline=None, max_examples=35)
@given(st.sampled_from(sorted(CONFIGS.glob("*.yaml"))), st.randoms(use_true_random=False), st.sampled_from(PIECES))
def test_mutated_text_loads_or_is_refused(path, draw: random.Random, piece):
    text = path.read_text(encoding="utf-8")
    start = draw.randrange(len(text))
    judged(text[:start] + piece + text[start + draw.randrange(4) :])


@settings(deadline=None, max_examples=35)
@given(st.sampled_from(sorted(CONFIGS.glob("*.yaml"))), st.randoms(use_true_random=False), st.sampled_from(VALUES))
def test_mutated_values_load_or_are_refused(path, draw: random.Random, value):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    node = content
    while True:
        key = draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if not (isinstance(node[key], (dict, list)) and node[key]) or draw.random() < 0.2:
            break
        node = node[key]
    if isinstance(node, dict) and draw.random() < 0.3:
        node[f"{key}x"] = node.pop(key)
    else:
        node[key] = value
    judged(yaml.safe_dump(content))
