"""Settings, arms and readings of ``ensembles``; importable without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from repro.contrasts import BySeed, beyond_share, minus, one_per_teacher, shares
from repro.experiment import Arm, Need
from repro.papers.hinton2015 import _tuned as tuned
from repro.papers.hinton2015._arms import TunedNet
from repro.published import load as load_published
from repro.results import Results
from repro.settings import Options

TEACHERS = ("ensemble", "one")


class Task(Options):
    """One data set, its nets, and how many of each."""

    data: str
    cases: PositiveInt | None = Field(None, description="training cases, with their labels, that are seen; None: all")
    held_out: PositiveInt = Field(description="training cases kept for validation")
    net: TunedNet
    rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="learning rates tried for every kind of net")
    tuning_seeds: int = Field(1, ge=1, description="of every rate tried")
    ensembles: int = Field(3, ge=1)
    students: int = Field(1, ge=1, description="of each ensemble, at each temperature")


class Ensembles(Options):
    """What the ensembles of all data sets have in common, and the data sets."""

    members: int = Field(10, ge=2)
    mean: Literal["arithmetic", "geometric"] = "arithmetic"
    temperatures: tuple[PositiveFloat, ...] = Field((1.0, 2.0, 5.0, 10.0), min_length=1)
    hard_weight: float = Field(0.5, ge=0, description="of the labels' cross-entropy beside the soft one")
    tasks: tuple[Task, ...] = Field(min_length=1)


def student_name(task: Task, teacher: str, temperature: float) -> str:
    return f"{task.data}.from_{teacher}.t{temperature:g}"


def arms(config: Ensembles) -> list[Arm]:
    return [arm for task in config.tasks for arm in _arms_of(task, config)]


def _arms_of(task: Task, config: Ensembles) -> list[Arm]:
    data, count = task.data, task.ensembles
    common = {"cases": task.cases, "held_out": task.held_out, "ensembles": count}

    def net(rate: float) -> dict[str, object]:
        return task.net.from_labels(rate) | common | {"role": "net_grid"}

    rates = tuned.grid(f"{data}.net", task.rates, net, seeds=task.tuning_seeds, data=data)
    listed = list(rates)
    members = []
    for number in range(config.members):
        settings = tuned.without_rate(net(task.rates[0])) | {"role": "net", "member": number + 1}
        members.append(Arm(f"{data}.net{number + 1}", settings, count, tuned.wanted(rates), count, data))
    listed += members
    taught_by = {"ensemble": members, "one": members[:1]}
    for teacher in TEACHERS:
        needs = tuple(Need(member.name) for member in taught_by[teacher])
        listed.append(Arm(f"{data}.{teacher}", common | {"role": "teacher"}, count, needs, count, data))
    for temperature in config.temperatures:

        def student(rate: float, temperature: float = temperature) -> dict[str, object]:
            settings = task.net.from_soft_targets(rate, temperature, config.hard_weight)
            return settings | common | {"role": "student_grid", "mean": config.mean}

        settings = tuned.without_rate(student(task.rates[0])) | {"role": "student"}
        for source in TEACHERS:
            name, needs = student_name(task, source, temperature), (Need(f"{data}.{source}"),)
            rates = tuned.grid(name, task.rates, student, seeds=task.tuning_seeds, data=data, needs=needs)
            needs = (*needs, *tuned.wanted(rates))
            listed += [*rates, Arm(name, settings, count * task.students, needs, count * task.students, data)]
    return listed


@dataclass(frozen=True)
class Accuracies:
    """Test accuracy in percent by ensemble: the mean of its members, its two means, and its students and those of one
    member, each at the temperature ``chosen`` for them."""

    single: BySeed
    means: Mapping[str, BySeed]
    chosen: Mapping[str, float | None]
    students: Mapping[str, BySeed]


def accuracies(results: Results, task: Task, config: Ensembles) -> Accuracies:
    ensemble = f"{task.data}.ensemble"
    chosen = {teacher: chosen_temperature(results, task, teacher, config) for teacher in TEACHERS}
    return Accuracies(
        single=percent_right(results, ensemble, "members_test_errors"),
        means={
            "arithmetic": percent_right(results, ensemble),
            "geometric": percent_right(results, ensemble, "geometric_test_errors"),
        },
        chosen=chosen,
        students={
            teacher: percent_right(results, student_name(task, teacher, t)) if t is not None else {}
            for teacher, t in chosen.items()
        },
    )


def against_one(found: Accuracies) -> tuple[float, ...]:
    """Accuracy of the student of the ensemble minus that of the student of one member, one number an ensemble."""
    return in_order(minus(found.students["ensemble"], found.students["one"]))


def beyond_least(found: Accuracies) -> tuple[float, ...]:
    """What the student gains minus the share of the ensemble's gain that the paper says is exceeded."""
    gained, whole = minus(found.students["ensemble"], found.single), minus(found.means["arithmetic"], found.single)
    return beyond_share(gained, whole, least_share() / 100)


def in_order(values: BySeed) -> tuple[float, ...]:
    return tuple(values[seed] for seed in sorted(values))


def least_share() -> float:
    """Of the ensemble's gain, in percent."""
    return load_published()["KD-S15"].low or 0.0


def percent_right(results: Results, arm: str, metric: str = "test_errors") -> dict[int, float]:
    """Test accuracy in percent by ensemble, the mean over its students where there are several."""
    rows = [row for row in results.rows if row["arm"] == arm and row.get(metric) is not None]
    right = {row["seed"]: 100.0 * (1 - row[metric] / row["test_cases"]) for row in rows}
    return one_per_teacher(right, rows[0]["settings.ensembles"]) if rows else {}


def chosen_temperature(results: Results, task: Task, teacher: str, config: Ensembles) -> float | None:
    """The temperature at which the students err least on the held-out cases, over all seeds; None before any ran."""
    mean_errors = {}
    for temperature in config.temperatures:
        errors = results.values(student_name(task, teacher, temperature), "validation_errors").values()
        if errors:
            mean_errors[temperature] = sum(errors) / len(errors)
    return min(mean_errors, key=lambda t: (mean_errors[t], t)) if mean_errors else None


def shares_kept(results: Results, task: Task, teacher: str, config: Ensembles) -> tuple[float, ...]:
    """Share of the ensembles' gain, in percent, that the students at the chosen temperature keep; one an ensemble."""
    temperature = chosen_temperature(results, task, teacher, config)
    if temperature is None:
        return ()
    ensemble = percent_right(results, f"{task.data}.ensemble")
    single = percent_right(results, f"{task.data}.ensemble", "members_test_errors")
    student = percent_right(results, student_name(task, teacher, temperature))
    return tuple(100 * share for share in shares(minus(student, single), minus(ensemble, single)))


def words(task: Task) -> str:
    """A task for readers: its data, and how many of them where that is not all."""
    return task.data if task.cases is None else f"{task.cases:,} cases of {task.data}"
