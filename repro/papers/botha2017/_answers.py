"""The answers that both tasks share."""

from repro.compare import Answer, Claim
from repro.contrasts import minus, over
from repro.papers.botha2017._arms import Config, base_name, linear_name
from repro.results import Results

WORST_LOSS = 0.2  # points that 8 bits may cost


def eight_bits(results: Results, name: str) -> list[Answer]:
    """What 8 bits cost and save, at the base net; the rule stands before the runs."""
    config = Config.model_validate(results.config)
    base = base_name(config)
    exact, coarse = (results.values(base, metric) for metric in ("test_accuracy", "test_accuracy_8bit"))
    stored, whole = (results.values(base, metric) for metric in ("bytes", "float_bytes"))
    setting = f"{config.base.buckets} buckets, {config.base.dimension} numbers an embedding"
    return [
        Claim(
            f"PS360.{'loss' if name == 'tagging' else f'loss_{name}'}",
            "accuracy from 8 bits less accuracy in float32",
            tuple(coarse[seed] - exact[seed] for seed in sorted(coarse.keys() & exact.keys())),
            null=-WORST_LOSS,
            setting=setting,
            unit="points",
        ),
        Claim(
            f"PS360.{name}",
            "size in float32 over size in 8 bits, on disk",
            tuple(over(whole, stored).values()),
            null=3.0,
            setting=setting,
            unit="x",
            departures="null 3 for a printed 4: a scale of 32 bits a row is counted in",
            shows_printed=True,
        ),
        Claim(
            f"PS362.{name}",
            "size in 8 bits, on disk",
            tuple(value / 1e6 for value in stored.values()),
            null=3.0,
            direction="less",
            setting=setting,
            unit="MB",
            shows_printed=True,
        ),
    ]


def against_linear(results: Results, name: str) -> list[Answer]:
    """The base net from 8 bits beside linear classifiers of the same n-grams, in as many buckets and in many more."""
    config = Config.model_validate(results.config)
    net = results.values(base_name(config), "test_accuracy_8bit")
    return [
        Claim(
            f"PS365.{name}.linear{buckets}",
            "test accuracy, net from 8 bits minus a linear classifier on the same n-grams, same seed",
            tuple(minus(net, results.values(linear_name(buckets), "test_accuracy")).values()),
            setting=f"net of {config.base.buckets} buckets, linear classifier of {buckets}",
            unit="points",
            departures="the paper prints no linear classifier: a control of ours",
        )
        for buckets in config.linear.buckets
    ]
