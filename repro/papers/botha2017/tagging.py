"""Section 3.2: parts of speech by a net of a few hundred kilobytes.

The paper tags 13 Universal Dependencies treebanks with a feed-forward net over hashed character n-grams of a window of
words, one hidden layer, 8-bit storage, and compares it with an LSTM of 900,000 weights.

Here, at scale ``paper``: the English Web Treebank, its 17 universal tags, 204,577 training words; n-grams of 2 to 4
characters of the word and three words on either side, 1,000 buckets a size, 16 numbers an embedding, 128 hidden units.
Buckets and dimensions are varied around it, in float32 and from 8 bits. Beside it: scikit-learn's linear classifier on
the same n-grams of the same window, with the net's buckets and with many more, its penalty chosen on the development
part; and the most frequent tag of each word, which tells how much of the accuracy is a dictionary. The net is claimed
above each linear classifier (PS365), though the paper has none. The learning rate is the best of ``rates`` on the
development part, recorded as arms. Scale ``quick``: tokens of Python's library, tagged by Python's tokenizer.

Departures: one language of thirteen, a newer release; no word clusters, no separate features for prefixes and
suffixes; batches of 128 instead of 32. So the printed accuracies and sizes, all of them recollected, are shown and
not judged.
Cost at scale ``paper``: about 40 CPU-seconds a run of a net, 60 of a linear classifier.
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

DATA = {"quick": "python-tokens", "paper": "ud-english-ewt", "cluster": "ud-english-ewt"}
PRINTED_DATA = "ud-13-languages"


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.botha2017._study import run as run_study

    return run_study(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.botha2017._figures import draw

    return draw(results, "tags right", "PS368")


def claims(results: Results) -> Sequence[Answer]:
    base = base_name(Config.model_validate(results.config))
    shown = {
        "accuracy": ("test_accuracy_8bit", 1.0),
        "weights": ("weights", 1.0),
        "size": ("bytes", 1e-6),
        "ops": ("operations", 1.0),
    }
    values = [
        Value(
            f"PS368.{quantity}",
            tuple(scale * value for value in results.values(base, metric).values()),
            departures="one treebank of thirteen",
        )
        for quantity, (metric, scale) in shown.items()
    ]
    return [*eight_bits(results, "tagging"), *against_linear(results, "tagging"), *values]
