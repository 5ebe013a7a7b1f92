"""Section 3.1: which language is it, by a net of a few hundred kilobytes.

The paper identifies languages on Baldwin and Lui's Wikipedia set of 67 with a feed-forward net over hashed character
1- to 4-grams, 8-bit storage: 6 numbers an embedding in 334 kB, 16 in 800 kB.

Here, at scale ``paper``: stretches of up to 60 characters of the Universal Declaration of Human Rights in 334
languages, the last articles for test; 1,000 buckets a size, 16 numbers an embedding, 128 hidden units, varied as for
tagging and beside the same linear classifiers, above which the net is claimed (PS365). The most frequent label knows
nothing of a stretch it has not met: it is the floor. The learning rate is the best of ``rates`` on the validation part,
recorded as arms. Scale ``quick``: single words of docutils' lexicons in its languages.

Departures: another corpus, one text a language, many close languages; the net sees no n-gram across stretches.
Printed numbers, all of them recollected, are shown and not judged; micro F1 is accuracy where each text has one label.
Cost at scale ``paper``: about 50 CPU-seconds a run of a net, 90 of a linear classifier.
"""

from collections.abc import Sequence

from repro.compare import Answer, Value
from repro.experiment import Arm, Context, Result
from repro.papers.botha2017._answers import against_linear, eight_bits
from repro.papers.botha2017._arms import Config as Config
from repro.papers.botha2017._arms import arms as arms
from repro.papers.botha2017._arms import base_name
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "docutils-words", "paper": "udhr", "cluster": "udhr"}
PRINTED_DATA = "baldwin-lui-wikipedia"


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.botha2017._study import run as run_study

    return run_study(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.botha2017._figures import draw

    return draw(results, "languages right")


def claims(results: Results) -> Sequence[Answer]:
    base = base_name(Config.model_validate(results.config))
    right = tuple(results.values(base, "test_accuracy_8bit").values())
    return [
        *eight_bits(results, "languages"),
        *against_linear(results, "languages"),
        Value("PS374.micro", right, departures="another corpus"),
    ]
