"""``specialists.*``: eq 5 against scipy, and the covariance of very many predictions in little memory.

The yardstick for eq 5 is what a careful user writes: scipy's L-BFGS-B on z, q = softmax(z), with the analytic
gradient, case by case from the generalist's own logits; it is timed on fewer cases in the same run and must find the
same optimum. Seconds are CPU seconds of this process with one thread."""

import json
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from repro.bench import Measurement
from repro.bench.training import cpu_seconds
from repro.distill.combine import combine, consulted

CASES, CLASSES, SPECIALISTS, SIZE = 10_000, 100, 20, 12
YARDSTICK_CASES = 200
PREDICTIONS, MANY_CLASSES, CLUSTERS = 1_000_000, 1000, 60


def problem(seed: int = 0) -> tuple[Tensor, list[Tensor], Tensor]:
    """Probabilities of a generalist and of specialists that see the same logits with errors of their own, and the
    sets."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(SPECIALISTS, CLASSES, generator=generator)
    sets = torch.zeros(SPECIALISTS, CLASSES, dtype=torch.bool).scatter_(1, draw.topk(SIZE).indices, True)
    logits = 3 * torch.randn(CASES, CLASSES, generator=generator, dtype=torch.float64)
    answers = []
    for class_set in sets:
        own = torch.cat([logits[:, class_set], logits[:, ~class_set].logsumexp(1, keepdim=True)], 1)
        answers.append(torch.softmax(own + torch.randn(own.shape, generator=generator, dtype=torch.float64), 1))
    return torch.softmax(logits, 1), answers, sets


def by_scipy(generalist: Tensor, answers: Sequence[Tensor], sets: Tensor, asked: Tensor) -> np.ndarray:
    """q (cases, classes) of eq 5, one case after the other."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax, logsumexp

    p, masks = generalist.numpy(), sets.numpy()
    theirs = [answer.numpy() for answer in answers]
    found = np.empty_like(p)
    for case in range(len(p)):
        mine = [(theirs[m][case], masks[m]) for m in np.flatnonzero(asked[case].numpy())]

        def loss(z: np.ndarray, p_g: np.ndarray = p[case], mine: list = mine) -> tuple[float, np.ndarray]:  # type: ignore[type-arg]
            log_q = log_softmax(z)
            q = np.exp(log_q)
            value, weight = -p_g @ log_q, p_g.copy()  # weight: minus the derivative by log q
            for p_m, mask in mine:
                log_rest = logsumexp(log_q[~mask])
                value -= p_m[:-1] @ log_q[mask] + p_m[-1] * log_rest
                weight[mask] += p_m[:-1]
                weight[~mask] += p_m[-1] * np.exp(log_q[~mask] - log_rest)
            return value, q * weight.sum() - weight

        options = {"maxiter": 1000, "maxfun": 2000, "ftol": 1e-13, "gtol": 1e-6}
        found[case] = minimize(loss, np.log(p[case]), jac=True, method="L-BFGS-B", options=options).x
    q: np.ndarray = np.exp(log_softmax(found, axis=1))
    return q


def eq5() -> list[Measurement]:
    """Time of the batch, ratio to scipy per case, and the divergence of the two optima."""
    generalist, answers, sets = problem()
    asked = consulted(generalist, sets)
    combine(generalist[:100], [a[:100] for a in answers], sets, asked[:100])  # touch everything once
    ours = min(cpu_seconds(lambda: combine(generalist, answers, sets, asked)) for _ in range(3))
    everyone = min(cpu_seconds(lambda: combine(generalist, answers, sets, torch.ones_like(asked))) for _ in range(3))
    few = slice(0, YARDSTICK_CASES)
    sample = generalist[few], [a[few] for a in answers], sets, asked[few]
    found: list[np.ndarray] = []
    theirs = cpu_seconds(lambda: found.append(by_scipy(*sample)))
    q = combine(*sample).numpy()
    divergence = float((q * np.log(q / found[0])).sum(1).max())
    ratio = (theirs / YARDSTICK_CASES) / (ours / CASES)
    name = "specialists.eq5"
    return [
        Measurement(name, f"{CASES} cases, {CLASSES} classes, {SPECIALISTS} specialists", ours, "CPU-s", "<= 1.5"),
        Measurement(name, "the same, every specialist asked in every case", everyone, "CPU-s", "<= 1.5"),
        Measurement(name, "ratio_to_scipy", ratio, "x", ">= 100"),
        Measurement(name, "largest KL from scipy's optimum", divergence, "nats", "<= 1e-6"),
    ]


# In a process of its own, whose peak is then that of this work alone.
_STREAM = f"""
import json, resource, time, torch
from repro.distill.clusters import online_kmeans
from repro.distill.covariance import StreamedCovariance
torch.set_num_threads(1)
streamed, spent, batch = StreamedCovariance({MANY_CLASSES}), 0.0, 4000
generator = torch.Generator().manual_seed(0)
groups = torch.randn({CLUSTERS}, {MANY_CLASSES}, generator=generator)
member = torch.arange({MANY_CLASSES}) % {CLUSTERS}
for start in range(0, {PREDICTIONS}, batch):
    group = torch.randint({CLUSTERS}, (batch, 1), generator=generator)
    noise = torch.empty(batch, {MANY_CLASSES}).exponential_(generator=generator).log_()
    predictions = torch.softmax(noise + 3 * (group == member), 1)
    begun = time.process_time()
    streamed.update(predictions)
    spent += time.process_time() - begun
columns = streamed.covariance()
begun = time.process_time()
found = online_kmeans(columns, {CLUSTERS}, seed=0)
clustered = time.process_time() - begun
agree = float(torch.tensor([found.assignment[member == g].bincount().max() for g in range({CLUSTERS})]).sum())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
print(json.dumps([spent, clustered, agree / {MANY_CLASSES}, peak]))
"""


def stream() -> list[Measurement]:
    """A million predictions over a thousand classes: seconds, peak memory, and clusters of the columns."""
    done = subprocess.run([sys.executable, "-c", _STREAM], capture_output=True, text=True, check=True)
    spent, clustered, agree, peak = json.loads(done.stdout)
    name = "specialists.covariance"
    return [
        Measurement(name, f"{PREDICTIONS} predictions, {MANY_CLASSES} classes", spent, "CPU-s"),
        Measurement(name, "peak memory", peak, "GB", "<= 1"),
        Measurement(name, f"k-means of its columns, {CLUSTERS} clusters", clustered, "CPU-s"),
        Measurement(name, "classes in their true cluster's majority", agree, "ratio", ">= 0.9"),
    ]


def measure() -> list[Measurement]:
    """All rows of ``specialists.*``, in one to two minutes."""
    torch.set_num_threads(1)
    return [*eq5(), *stream()]
