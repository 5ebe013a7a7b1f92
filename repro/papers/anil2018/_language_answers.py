"""What the language model's record answers of the paper's claims.

The leading underscore says that it is no experiment.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from repro.compare import Answer, Claim, NotRun
from repro.contrasts import minus
from repro.papers.anil2018._language_config import SMALLER, Config, sync_name
from repro.papers.anil2018._steps import curve_of, steps_to, times_fewer
from repro.results import Results

FAR_SMALLER = "text, net and batches are far smaller; whether more workers still help says CO-03"


def answers_of(results: Results, config: Config) -> Sequence[Answer]:
    """Claims of the comparison's rows, and why what was not tried has none."""
    return [
        *_fewer_steps(results, config),
        *_against_controls(results, config),
        *_two_phases(results, config),
        *_doublings(results, config),
        *_no_limit_reached(config),
    ]


def _loss(results: Results, arm: str, than: str) -> tuple[float, ...]:
    return tuple(results.paired(arm, than, "loss"))


def _fewer_steps(results: Results, config: Config) -> list[Answer]:
    """What codistilling saves a group, of the config's size and of the smaller one."""
    fewer = "steps of one group until its last loss, over the steps until"
    base = config.base
    answers: list[Answer] = [
        Claim(
            f"CO-06.{split}",
            f"{fewer} one of two codistilled groups ({split} data) has it, same seed; 0 if never",
            times_fewer(results, f"codistilled.{split}", sync_name(base.workers), "test", "loss", base.updates),
            null=1.0,
            unit="x",
            shows_printed=split == "disjoint",
            departures=FAR_SMALLER,
        )
        for split in ("disjoint", "same")
    ]
    if pair := config.smaller_groups:
        small = config.group(pair.group_workers)
        answers.append(
            Claim(
                "CO-06.smaller",
                f"{fewer} one of two codistilled groups of {small.workers} workers (disjoint data) has it, same seed; "
                "0 if never",
                times_fewer(results, SMALLER, sync_name(small.workers), "test", "loss", small.updates),
                null=1.0,
                unit="x",
                departures=FAR_SMALLER,
            )
        )
    return answers


def _against_controls(results: Results, config: Config) -> list[Answer]:
    """Disjoint data against the same, smoothed labels, and as many workers in one group."""
    answers: list[Answer] = [
        Claim(
            "CO-09",
            "test loss of a codistilled group with disjoint data minus with the same data, same seed",
            _loss(results, "codistilled.disjoint", "codistilled.same"),
            direction="less",
            unit="nats",
        )
    ]
    answers += [
        Claim(
            f"CO-10.{to}",
            f"test loss of a codistilled group (disjoint data) minus labels smoothed ({to}), equal steps, same seed",
            _loss(results, "codistilled.disjoint", f"smoothed.{to}"),
            direction="less",
            unit="nats",
        )
        for to in ("uniform", "unigram")
    ]
    twice = sync_name(2 * config.group_workers)
    if results.values(twice, "loss"):
        answers.append(
            Claim(
                "CO-06.same_workers",
                f"test loss of one of two groups minus one group of {2 * config.group_workers} workers, equal steps "
                "and examples, same seed",
                _loss(results, "codistilled.disjoint", twice),
                direction="less",
                unit="nats",
            )
        )
    return answers


def _two_phases(results: Results, config: Config) -> list[Answer]:
    """Codistillation against an ensemble that is trained first and distilled then."""
    both, alone = results.values("codistilled.disjoint", "loss"), results.values("two_phase", "loss")
    ensemble = results.values("two_phase", "ensemble_loss")
    answers: list[Answer] = [
        Claim(
            "CO-08",
            "test loss of a codistilled group minus that of the two-phase student after twice as many steps, same seed",
            tuple(minus(both, alone).values()),
            direction="less",
            unit="nats",
        ),
        Claim(
            "CO-08.ensemble",
            "test loss of a codistilled group minus that of an ensemble of two nets trained apart on the same halves, "
            "same seed",
            tuple(minus(both, ensemble).values()),
            direction="less",
            unit="nats",
            departures="the paper holds the codistilled net against an ensemble that was distilled",
        ),
        Claim(
            "CO-08.two_phase_ensemble",
            "test loss of the two-phase student minus that of the ensemble that taught it, same seed",
            tuple(minus(alone, ensemble).values()),
            direction="less",
            unit="nats",
            departures="the student sees both halves, each member of the ensemble one",
        ),
    ]
    needed = [
        steps_to(curve_of(results, "two_phase", seed, "test", "loss"), both[seed])
        for seed in sorted(both.keys() & alone.keys())
    ]
    return [*answers, _two_phase_steps(needed, config.base.updates)]


def _doublings(results: Results, config: Config) -> list[Answer]:
    """Whether more workers in one group still help."""
    answers: list[Answer] = []
    sync = sorted(config.sync, key=lambda group: group.workers)
    for fewer_workers, more in pairwise(sync):
        pair_of, common = f"{fewer_workers.workers}to{more.workers}", min(fewer_workers.updates, more.updates)
        if more.updates >= fewer_workers.updates:
            answers.append(
                Claim(
                    f"CO-03.{pair_of}",
                    f"test loss after {more.updates} steps, {more.workers} workers minus {fewer_workers.workers}",
                    _loss(results, sync_name(more.workers), sync_name(fewer_workers.workers)),
                    direction="less",
                    unit="nats",
                )
            )
        answers.append(
            Claim(
                f"CO-03.{pair_of}.steps",
                f"{common} steps of {fewer_workers.workers} workers over the steps until {more.workers} have the loss "
                "of these, same seed; 0 if never",
                times_fewer(results, sync_name(more.workers), sync_name(fewer_workers.workers), "test", "loss", common),
                null=1.0,
                unit="x",
            )
        )
    return answers


def _two_phase_steps(needed: Sequence[float], steps: int) -> NotRun:
    """Why the printed number of steps has no answer, and what is on record; ``needed``: steps of both phases until the
    student has the last loss of a codistilled group, which takes ``steps``; infinite if never."""
    found = ""
    if reached := [n for n in needed if math.isfinite(n)]:
        found = (
            f"; on record the student has a codistilled group's last loss after {sum(reached) / len(reached):.0f} "
            f"steps of both phases, that group after {steps} (mean of the {len(reached)} of {len(needed)} seeds that "
            "reach it)"
        )
    return NotRun(
        "CO-07",
        "how short either phase may be was not searched: each is as long as a codistilled group's whole run, so that "
        f"the first one alone decides the ratio, which is from 1 to 2 whatever is learnt{found}",
    )


def _no_limit_reached(config: Config) -> list[Answer]:
    """Why the printed limits of synchronous SGD have no answer."""
    most = max(group.workers for group in config.sync)
    batch = f"{most} workers of {config.length * config.sequences_per_worker} tokens"
    return [
        NotRun(
            "CO-04",
            f"not tried: the largest batch here is of {batch}, far below the paper's 256 workers of 128 x 32, and the "
            "text is too short for larger ones without repeating it; CO-03 says whether the last doubling "
            "still helped",
        ),
        NotRun(
            "CO-05",
            f"an estimate of the paper's for its own cluster; workers are one process here, up to {batch}, and CO-03 "
            "says whether the last doubling still helped",
        ),
    ]
