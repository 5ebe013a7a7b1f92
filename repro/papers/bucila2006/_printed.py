"""What the results say to the printed rows; without torch."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean

from repro.compare import Answer, Claim, NotRun, Value
from repro.contrasts import BySeed, beyond_share, minus, over, shares
from repro.papers.bucila2006._arms import Sweep
from repro.published import load as load_published
from repro.results import Results

MODELS = {"mimic": "mimic", "ensemble": "ensemble", "ann": "net", "single": "single"}  # printed name -> ours
LIBRARY = "library of scikit-learn models, not the paper's; split, p and s not printed there"
MACHINE = "another machine and other programs than in 2006"
ONE_PROBLEM = f"one problem instead of the average of eight; {LIBRARY}"
MUCH = 100.0  # times smaller and faster: MC-H2
LIKENESS = ("distance_to_real", "real_distance_to_real", "mean_target")  # of pseudo-cases to real ones
NBE_BEST, GOOD_FROM = 20_000, 100_000  # pseudo-cases: MC-H3.nbe and MC-H3.munge
LEVEL_FROM = 128  # hidden units: MC-H4
LITTLE = 0.1  # of the ensemble's gain over the net on labels: a curve that gains less than that is level
SWEEP_ENDS = f"the sweep does not go beyond {LEVEL_FROM} units, where the paper's curve levels off"
# Problems of the paper that are not run here, and why.
ABSENT = {
    "covtype": "COVTYPE is public and not among this suite's data sets",
    "hs": "the hyperspectral problem's cut of its image was not published",
    "medis": "the medical data were never published",
    "mg": "the medical data were never published",
    "slac": "the particle physics data were never published",
    "average": "the average is over all eight problems, and the data of seven, six sets, are not here",
}


def test_rmse(results: Results, task: str, model: str) -> dict[int, float]:
    """By seed; ``model`` is ``mimic``, ``ensemble``, ``net`` or ``single``."""
    return _judged(results, task, model, "test_rmse")


def test_accuracy(results: Results, task: str, model: str) -> dict[int, float]:
    """In percent by seed, of the same models."""
    return {seed: 100 * share for seed, share in _judged(results, task, model, "test_accuracy").items()}


def _judged(results: Results, task: str, model: str, metric: str) -> dict[int, float]:
    if model == "single":
        return results.values(f"{task}.ensemble", f"single_{metric}")
    return results.values(f"{task}.{model}", metric)


def pseudo_cases(results: Results, task: str) -> dict[str, float]:
    """What MUNGE's cases are like beside real ones, means over the splits that both are of; empty where none is."""
    of = {name: results.values(f"{task}.munge", name) for name in LIKENESS}
    of["positives"] = results.values(f"{task}.ensemble", "positives")
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in of.values())))
    found = {name: fmean(by_seed[seed] for seed in seeds) for name, by_seed in of.items() if seeds}
    return found | {"n": len(seeds)} if seeds else {}


def costs(results: Results, task: str, model: str, column: str) -> dict[int, float]:
    """``bytes`` or ``seconds_per_10k_cases`` by seed."""
    arm = f"{task}.{'ensemble' if model == 'single' else model}"
    rows = [row for row in results.table("costs") if (row["arm"], row["model"]) == (arm, model)]
    return {row["seed"]: row[column] for row in rows}


def difference(results: Results, task: str, model: str, other: str) -> dict[int, float]:
    """Test RMSE of ``model`` minus that of ``other``, by seeds both have."""
    return minus(test_rmse(results, task, model), test_rmse(results, task, other))


def kept_beyond(results: Results, task: str, share: float) -> tuple[float, ...]:
    """What the mimic gains over the net, less ``share`` of what the ensemble gains over it, in RMSE by seed."""
    return beyond_share(*_gains(results, task), share)


def _gains(results: Results, task: str) -> tuple[dict[int, float], dict[int, float]]:
    """Of the mimic and of the ensemble, over the net."""
    return difference(results, task, "net", "mimic"), difference(results, task, "net", "ensemble")


def ratio(results: Results, task: str, column: str) -> tuple[float, ...]:
    """The ensemble's cost over the mimic's, by seed."""
    ensemble, mimic = (costs(results, task, model, column) for model in ("ensemble", "mimic"))
    return tuple(over(ensemble, mimic).values())


def tables_2_to_4(results: Results, task: str, problem: str) -> Iterator[Answer]:
    """Answers to the rows of one printed problem, with ``task`` in its place."""
    for printed, model in MODELS.items():
        ours = tuple(test_rmse(results, task, model).values())
        yield Value(f"MC-T2-{problem}.{printed}", ours, unit="RMSE", departures=LIBRARY)
        seconds = tuple(costs(results, task, model, "seconds_per_10k_cases").values())
        yield Value(f"MC-T3-{problem}.{printed}", seconds, unit="s", departures=MACHINE, by_factors=True)
        megabytes = tuple(size / 1e6 for size in costs(results, task, model, "bytes").values())
        yield Value(f"MC-T4-{problem}.{printed}", megabytes, unit="MB", departures=LIBRARY, by_factors=True)
    yield Value(f"MC-T2-{problem}.ratio", shares(*_gains(results, task)), unit="ratio", departures=LIBRARY)
    for name, model, other in (
        (f"MC-T2-{problem}.mimic.against_net", "mimic", "net"),
        (f"MC-T2-{problem}.ensemble.against_net", "ensemble", "net"),
        (f"MC-T2-{problem}.ensemble.against_single", "ensemble", "single"),
    ):
        quantity = f"test RMSE, {model} minus {other} of the same split"
        ours = tuple(difference(results, task, model, other).values())
        yield Claim(name, quantity, ours, direction="less", unit="RMSE", departures=LIBRARY)
    rows = load_published()
    for name, table, column, unit, how in (
        ("size", "T4", "bytes", "bytes", ONE_PROBLEM),
        ("speed", "T3", "seconds_per_10k_cases", "seconds a case", f"{ONE_PROBLEM}; {MACHINE}"),
    ):
        ensemble, mimic = (rows[f"MC-{table}-{problem}.{model}"].number for model in ("ensemble", "mimic"))
        if ensemble > MUCH * mimic:  # else the paper does not find it on this problem either
            yield Claim(
                f"MC-H2.{name}.{problem}",
                f"ensemble over mimic, {unit}",
                ratio(results, task, column),
                null=MUCH,
                unit="x",
                by_factors=True,
                setting=f"{ensemble / mimic:,.0f} x printed for this problem",
                departures=how,
            )


def not_run() -> Iterator[Answer]:
    """Every printed result on a problem whose data are not here."""
    for row in load_published().values():
        if row.paper == "bucila2006" and row.role == "result" and row.experiment in ABSENT:
            yield NotRun(row.id, ABSENT[row.experiment])
    yield NotRun("MC-H1", ABSENT["average"])
    for row_id in ("MC-H2.size_average", "MC-H2.speed_average"):
        yield NotRun(row_id, ABSENT["average"])
    for problem in ("medis", "mg", "slac"):
        yield NotRun(f"MC-H4.{problem}", ABSENT[problem])
    yield NotRun("MC-H5", ABSENT["covtype"])


def sweep_claims(results: Results, tasks: Sequence[str]) -> Iterator[Answer]:
    """What Figures 2 and 3 say, as differences of test RMSE between mimics of the same split."""
    config = Sweep.model_validate(results.config)
    for task in tasks:
        for name, quantity, one, two in _better(config, task):
            yield Claim(
                f"{name}.{task}",
                f"test RMSE, {quantity}",
                tuple(results.paired(one, two, "test_rmse")),
                direction="less",
                unit="RMSE",
                departures=ONE_PROBLEM,
            )
        net = results.values(f"{task}.reference", "net_test_rmse")
        most = max(config.sizes_of("random"))
        random = results.values(f"{task}.random.n{most}", "test_rmse")
        yield Claim(
            f"MC-H3.random.{task}",
            f"test RMSE, mimic on {most} RANDOM cases minus net on labels",
            tuple(minus(random, net).values()),
            unit="RMSE",
            departures=ONE_PROBLEM,
        )
        if GOOD_FROM in config.sizes_of("munge"):
            munge = results.values(f"{task}.munge.n{GOOD_FROM}", "test_rmse")
            yield Claim(
                f"MC-H3.munge.good.{task}",
                f"test RMSE, mimic on {GOOD_FROM} MUNGE cases minus net on labels",
                tuple(minus(munge, net).values()),
                direction="less",
                unit="RMSE",
                departures=ONE_PROBLEM,
            )
        if NBE_BEST in config.sizes_of("nbe") and most > NBE_BEST:
            more, fewer = (results.values(f"{task}.nbe.n{size}", "test_rmse") for size in (most, NBE_BEST))
            quantity = f"{most} minus {NBE_BEST} NBE cases"
            yield _no_better(f"MC-H3.nbe.beyond.{task}", quantity, more, fewer, results, task)
        yield from _levels_off(results, config, task)


def _better(config: Sweep, task: str) -> Iterator[tuple[str, str, str, str]]:
    """Id, quantity, and the two arms whose difference of test RMSE is claimed to be below zero."""
    sizes, common = config.sizes_of("munge"), max(config.sizes_of("random"))
    first, last = min(sizes), max(sizes)
    munge = f"{task}.munge.n"
    yield "MC-H3.munge", f"{last} minus {first} MUNGE cases", f"{munge}{last}", f"{munge}{first}"
    if GOOD_FROM in sizes and last > GOOD_FROM:
        quantity = f"{last} minus {GOOD_FROM} MUNGE cases: still improving"
        yield "MC-H3.munge.beyond", quantity, f"{munge}{last}", f"{munge}{GOOD_FROM}"
    if NBE_BEST in config.sizes_of("nbe") and first < NBE_BEST:
        quantity = f"{NBE_BEST} minus {first} NBE cases: improving up to there"
        yield "MC-H3.nbe.up_to", quantity, f"{task}.nbe.n{NBE_BEST}", f"{task}.nbe.n{first}"
    for rival, row in (("nbe", "MC-H3.nbe.munge"), ("random", "MC-H3.random.munge")):
        quantity = f"MUNGE minus {rival.upper()} at {common} cases"
        yield row, quantity, f"{munge}{common}", f"{task}.{rival}.n{common}"


def _levels_off(results: Results, config: Sweep, task: str) -> Iterator[Answer]:
    """Whether hidden units gain up to where the printed curve levels off, and beyond it less, or nothing."""
    at = {units: results.values(f"{task}.units{units}", "test_rmse") for units in sorted(config.units)}
    steps = [(fewer, more, minus(at[fewer], at[more])) for fewer, more in pairwise(at)]
    up_to = [step for step in steps if step[1] <= LEVEL_FROM]
    beyond = [step for step in steps if step[1] > LEVEL_FROM][:1]
    departures = ONE_PROBLEM if beyond else f"{ONE_PROBLEM}; {SWEEP_ENDS}"
    for fewer, more, gain in up_to[-1:]:
        yield Claim(
            f"MC-H4.gain.{task}",
            f"test RMSE, {fewer} minus {more} hidden units: not yet level",
            tuple(gain.values()),
            unit="RMSE",
            departures=departures,
        )
    for (least, fewer, earlier), (_, more, later) in pairwise([*up_to, *beyond][-2:]):
        yield Claim(
            f"MC-H4.levelling.{task}",
            f"gain in test RMSE, {fewer} to {more} hidden units minus {least} to {fewer}",
            tuple(minus(later, earlier).values()),
            direction="less",
            unit="RMSE",
            departures=departures,
        )
    for fewer, more, _ in beyond:
        quantity = f"{more} minus {fewer} hidden units"
        yield _no_better(f"MC-H4.beyond.{task}", quantity, at[more], at[fewer], results, task)


def _no_better(name: str, quantity: str, more: BySeed, fewer: BySeed, results: Results, task: str) -> Claim:
    """That test RMSE falls by less than ``LITTLE`` of what the ensemble gains over the net of the same split."""
    net, ensemble = (results.values(f"{task}.reference", f"{model}_test_rmse") for model in ("net", "ensemble"))
    allowed = {seed: LITTLE * gain for seed, gain in minus(net, ensemble).items()}
    rises = minus(more, fewer)
    return Claim(
        name,
        f"test RMSE, {quantity}, plus {100 * LITTLE:g} % of the ensemble's gain over the net: no better beyond",
        tuple(rises[seed] + allowed[seed] for seed in rises if seed in allowed),
        unit="RMSE",
        departures=ONE_PROBLEM,
    )
