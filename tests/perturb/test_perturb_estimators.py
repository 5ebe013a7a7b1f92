"""Estimators: unbiased (z-tests), of the predicted variance, finite differences, local losses, feedback, refusals."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import norm

from repro.errors import UserError
from repro.perturb import nets
from repro.perturb.contrastive import contrast
from repro.perturb.directions import WeightNoise
from repro.perturb.estimators import (
    ActivityPerturbation,
    Backprop,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    FrozenFeatures,
    WeightPerturbation,
)
from repro.perturb.learn import by, learn
from repro.perturb.losses import cross_entropy
from repro.perturb.noise import Counter
from repro.perturb.settings import Learning
from repro.perturb.signals import Batch, Contrastive, Local, errors

MLP = nets.mlp((6, 5, 4, 3))
MIXER = nets.local_mixer(blocks=2, patches=2, channels=8, groups=2, side=4, colours=1, classes=3)
UNGROUPED = nets.local_mixer(blocks=2, patches=2, channels=6, groups=1, side=4, colours=1, classes=3)
DRAWS = 150


def case(net, cases=5, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    parameters = {n: (0.5 * torch.randn(s, generator=generator)).to(dtype) for n, s in net.shapes().items()}
    x = torch.randn(cases, net.tokens, net.features, generator=generator).to(dtype)
    return parameters, Batch(x, torch.randint(net.classes, (cases,), generator=generator))


def draws(net, estimator, parameters, batch, count=DRAWS, seed=11):
    """Estimates (count, parameters) of as many steps, flattened in the order of the first one's names."""
    rows = []
    for step in range(count):
        gradient = estimator(net, parameters, batch, Counter(seed, step)).gradient
        rows.append(torch.cat([gradient[name].flatten() for name in sorted(gradient)]))
    return torch.stack(rows), sorted(gradient)


def flat(gradient, names):
    return torch.cat([gradient[name].flatten() for name in names])


ESTIMATORS = {
    "weights": (MLP, WeightPerturbation(exact_head=False, noise="gaussian")),
    "weights, signs, three": (MLP, WeightPerturbation(3, exact_head=False)),
    "weights, rank one": (MLP, WeightPerturbation(2, "rank_one_signs", exact_head=False)),
    "weights, own draws": (MLP, WeightPerturbation(shared=False)),
    "weights, own draws of rank one": (MLP, WeightPerturbation(2, "rank_one_signs", shared=False)),
    "weights of a mixer": (MIXER, WeightPerturbation(2)),
    "weights of a mixer, rank one": (MIXER, WeightPerturbation(2, "rank_one_signs")),
    "weights, losses of blocks": (MIXER, WeightPerturbation(local=Local(patches=False, groups=False))),
    "weights, losses of patches": (UNGROUPED, WeightPerturbation(local=Local())),
    "units": (MLP, ActivityPerturbation(exact_head=False, noise="gaussian")),
    "units, signs, three": (MLP, ActivityPerturbation(3, exact_head=False)),
    "units, shared": (MLP, ActivityPerturbation(shared=True)),
    "units, one layer at a time": (MLP, ActivityPerturbation(one_by_one=True, exact_head=False)),
    "units of a mixer": (MIXER, ActivityPerturbation(2)),
    "units, losses of blocks": (MIXER, ActivityPerturbation(local=Local(patches=False, groups=False))),
    "units, losses of groups": (MIXER, ActivityPerturbation(local=Local(patches=False))),
    "units, losses of patches and groups": (MIXER, ActivityPerturbation(local=Local())),
    "units, contrastive losses": (MIXER, ActivityPerturbation(local=Contrastive())),
    "units, central differences": (MLP, ActivityPerturbation(derivative="central", step=1e-4)),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimates_are_unbiased(name):
    net, estimator = ESTIMATORS[name]
    parameters, batch = case(net)
    found, names = draws(net, estimator, parameters, batch)
    exact = Backprop(estimator.local)(net, parameters, batch, Counter(0)).gradient
    assert names == sorted(exact)
    error = found.std(0) / len(found) ** 0.5
    noisy = error > 1e-9  # heads have their exact gradient
    z = (found.mean(0) - flat(exact, names))[noisy] / error[noisy]
    assert float(z.abs().max()) < norm.isf(1e-5 / (2 * len(z)))
    torch.testing.assert_close(found.mean(0)[~noisy], flat(exact, names)[~noisy])
    assert float(z.square().mean()) < 3  # about 1; shared draws move coordinates together


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("noise", ["gaussian", "signs"])
@pytest.mark.parametrize("kind", [WeightPerturbation, ActivityPerturbation])
def test_the_spread_of_estimates_on_one_batch_is_the_predicted_one(kind, noise, shared):
    """Per weight, over noise alone: the sum over what is perturbed of squared gradients, + 2 g^2 if Gaussian, - g^2."""
    net = nets.mlp((4, 3))
    parameters, batch = case(net, cases=3)
    estimator = kind(noise=noise, shared=shared, exact_head=False)
    found, _ = draws(net, estimator, parameters, batch, count=1200)
    x = torch.cat([batch.x.squeeze(1), torch.ones(3, 1, dtype=torch.float64)], 1)
    error = cross_entropy(nets.forward(net, parameters, batch.x).outputs, batch.targets)[1] / 3
    gradients = torch.einsum("no,ni->noi", error, x)  # with the bias as a column
    gradients = gradients.sum(0, keepdim=True) if shared else gradients
    around = gradients.square().sum((1, 2) if kind is WeightPerturbation else 1, keepdim=True)
    own = (1.0 if noise == "gaussian" else -1.0) * gradients.square()
    predicted = (around + own).sum(0)
    assert float(found.var(0).sum()) == pytest.approx(float(predicted.sum()), rel=0.15)


@pytest.mark.parametrize("noise", ["signs", "rank_one_signs"])
def test_rank_one_signs_have_the_second_moment_of_full_ones(noise):
    parameters, batch = case(MLP)
    found, names = draws(MLP, WeightPerturbation(4, noise, exact_head=False), parameters, batch, count=500)
    exact = flat(Backprop()(MLP, parameters, batch, Counter(0)).gradient, names).square().sum()
    predicted = float(exact) * (len(found[0]) / 4 + 3 / 4)
    assert float(found.square().sum(1).mean()) == pytest.approx(predicted, rel=0.12)


@pytest.mark.parametrize(
    "estimator",
    [
        WeightPerturbation(2, exact_head=False),
        WeightPerturbation(2, "rank_one_signs", exact_head=False),
        WeightPerturbation(1, "gaussian", shared=False, exact_head=False),
        ActivityPerturbation(2, exact_head=False),
        ActivityPerturbation(one_by_one=True, shared=True),
    ],
)
@pytest.mark.parametrize("net", [MLP, UNGROUPED], ids=["mlp", "mixer"])
def test_finite_differences_approach_the_tangent(net, estimator):
    parameters, batch = case(net)
    exact = estimator(net, parameters, batch, Counter(4)).gradient
    for derivative, order in (("one_sided", 1), ("central", 2)):
        distances = []
        for step in (1e-3, 1e-4):
            differenced = replace(estimator, derivative=derivative, step=step)(net, parameters, batch, Counter(4))
            distances.append(max(float((differenced.gradient[n] - exact[n]).abs().max()) for n in exact))
        assert distances[1] < distances[0] * 10 ** (0.3 - order) + 1e-9


def pieces(estimator, parameters, batch):
    """What the derivative along one shared direction is taken of."""
    trace = nets.forward(MLP, parameters, batch.x)
    along = WeightNoise(MLP, Counter(9), estimator.noise, 1, len(batch), True, False, batch.x)
    return MLP, parameters, batch, trace, errors(MLP, parameters, trace, batch), along


def test_central_differences_are_antithetic_pairs():
    """The mean of the one-sided estimates along V and along -V."""
    parameters, batch = case(MLP)
    one_sided = WeightPerturbation(derivative="one_sided", step=1e-3)
    central = replace(one_sided, derivative="central")(MLP, parameters, batch, Counter(9)).gradient
    ahead = one_sided(MLP, parameters, batch, Counter(9)).gradient
    object.__setattr__(one_sided, "step", -1e-3)  # the slope towards -V times -V is that of a step back times V
    behind = one_sided._derivatives(*pieces(one_sided, parameters, batch))[-1]
    object.__setattr__(one_sided, "step", 1e-3)
    forth = one_sided._derivatives(*pieces(one_sided, parameters, batch))[-1]
    for name, value in central.items():
        if not name.startswith("head"):
            torch.testing.assert_close(value, ahead[name] * float((forth + behind).sum() / (2 * forth.sum())))


@pytest.mark.parametrize("kind", [WeightPerturbation, ActivityPerturbation, Backprop])
def test_with_one_block_patch_and_group_local_losses_change_nothing_to_the_last_bit(kind):
    net = nets.local_mixer(blocks=1, patches=1, channels=16, groups=1, side=8, colours=1, classes=10)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(96, 1, 64, generator=generator), torch.randint(10, (96,), generator=generator)
    learned = []
    for local in (None, Local()):
        parameters = net.initial(3)
        step = by(net, kind(local=local))
        settings = Learning(epochs=4, batch_size=32, learning_rate=0.1)
        learn(parameters, step, lambda index: Batch(x[index], y[index]), 96, settings, seed=0, name="identity")
        learned.append(parameters)
    for name in (
        *(f"block0.{layer}.{part}" for layer in ("channels", "groups") for part in ("weight", "bias")),
        "head.weight",
    ):
        assert torch.equal(learned[0][name], learned[1][name]), name
        assert not torch.equal(learned[0][name], net.initial(3)[name]), name


def test_replicated_losses_add_up_to_the_blocks_loss():
    """By autograd: each replica differentiated through its own patch and group, all else held."""
    parameters, batch = case(MIXER)
    ours = Backprop(Local())(MIXER, parameters, batch, Counter(0)).gradient

    def blocks_loss(p, block):
        held = {name: value for name, value in p.items() if name.startswith(f"block{block}.")}
        rest = {name: value.detach() for name, value in p.items()}
        trace = nets.forward(MIXER, {**rest, **held}, batch.x)
        outputs = nets.local_head(MIXER, {**rest, **held}, trace, block)[1]
        return torch.nn.functional.cross_entropy(outputs, batch.targets)

    for block in range(MIXER.blocks):
        theirs = torch.func.grad(lambda p, block=block: blocks_loss(p, block))(parameters)
        for name in theirs:
            if name.startswith(f"block{block}."):
                torch.testing.assert_close(ours[name], theirs[name])


def test_units_answer_to_fewer_losses_and_are_less_noisy():
    parameters, batch = case(MIXER)
    names = [n for n in sorted(MIXER.shapes()) if n.startswith("block0")]
    spread = []
    for local in (Local(patches=False, groups=False), Local(groups=False), Local()):
        found, order = draws(MIXER, ActivityPerturbation(local=local), parameters, batch, count=60)
        sizes = [torch.Size(MIXER.shapes()[n]).numel() for n in order]
        kept = torch.cat([torch.full((size,), n in names) for n, size in zip(order, sizes, strict=True)])
        spread.append(float(found[:, kept].var(0).mean()))
    assert spread[0] > 1.5 * spread[1] > 2 * spread[2]


def test_feedback_alignment_through_the_true_weights_is_backprop():
    parameters, batch = case(MIXER)
    weights = {n: v for n, v in parameters.items() if n.endswith("weight")}
    ours = FeedbackAlignment(weights)(MIXER, parameters, batch, Counter(0)).gradient
    exact = Backprop()(MIXER, parameters, batch, Counter(0)).gradient
    for name, value in ours.items():
        torch.testing.assert_close(value, exact[name])
    other = FeedbackAlignment.of(MIXER, 0, torch.float64)(MIXER, parameters, batch, Counter(0)).gradient
    assert not torch.allclose(other["block0.channels.weight"], exact["block0.channels.weight"])
    torch.testing.assert_close(other["head.weight"], exact["head.weight"])


def test_direct_feedback_is_the_errors_random_image_at_every_layer():
    parameters, batch = case(MLP)
    estimator = DirectFeedbackAlignment.of(MLP, 0, torch.float64)
    ours = estimator(MLP, parameters, batch, Counter(0)).gradient
    trace = nets.forward(MLP, parameters, batch.x)
    error = cross_entropy(trace.outputs, batch.targets)[1] / len(batch)
    hidden = torch.relu(batch.x.squeeze(1) @ parameters["layer0.weight"].T + parameters["layer0.bias"])
    delta = (error @ estimator.feedback[0]) * (hidden > 0)
    torch.testing.assert_close(ours["layer0.weight"], delta.T @ batch.x.squeeze(1))
    torch.testing.assert_close(ours["layer0.bias"], delta.sum(0))


def test_frozen_features_learn_the_head_alone():
    parameters, batch = case(MIXER)
    gradient = FrozenFeatures()(MIXER, parameters, batch, Counter(0)).gradient
    assert set(gradient) == {"head.weight", "head.bias"}


def test_draws_repeat_and_steps_differ():
    parameters, batch = case(MLP)
    a, b, c = (
        ActivityPerturbation()(MLP, parameters, batch, Counter(0, step)).gradient["layer0.weight"] for step in (0, 0, 1)
    )
    assert torch.equal(a, b)
    assert not torch.allclose(a, c)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"derivative": "one_sided"}, "must be above zero, not 0"),
        ({"derivative": "central", "step": -0.1}, "must be above zero, not -0.1"),
        ({"derivative": "central", "step": float("nan")}, "must be above zero"),
        ({"derivative": "sideways"}, "choose tangent, one_sided or central"),
        ({"step": 0.1}, "a tangent is exact and has no step"),
        ({"directions": 0}, "directions must be at least 1"),
        ({"noise": "uniform"}, "choose one of gaussian, signs"),
        ({"derivative": "central", "step": 0.1, "local": Local()}, "use the tangent with local losses"),
        ({"local": Local(), "exact_head": False}, "exact_head must stay on"),
    ],
)
@pytest.mark.parametrize("kind", [WeightPerturbation, ActivityPerturbation])
def test_settings_that_cannot_be_are_refused(kind, settings, message):
    with pytest.raises(UserError, match=message):
        kind(**settings)


def test_noise_under_the_resolution_of_the_numbers_is_refused_with_the_reason():
    estimator = WeightPerturbation(derivative="one_sided", step=1e-5)
    parameters, batch = case(MLP, dtype=torch.float32)
    with pytest.raises(UserError, match=r"1e-05 is under the resolution of finite differences in float32.*float64 or"):
        estimator(MLP, parameters, batch, Counter(0))
    parameters, batch = case(MLP)
    assert estimator(MLP, parameters, batch, Counter(0)).gradient


def test_losses_that_are_no_number_a_case_are_refused():
    parameters, batch = case(MLP)
    with pytest.raises(UserError, match="one number a case"):
        Backprop()(MLP, parameters, replace(batch, loss=lambda z, y: (z.square(), 2 * z)), Counter(0))
    with pytest.raises(UserError, match="not finite"):
        Backprop()(MLP, parameters, replace(batch, x=batch.x * float("nan")), Counter(0))
    with pytest.raises(UserError, match="rank-one noise is for weights"):
        ActivityPerturbation(noise="rank_one_signs")
    with pytest.raises(UserError, match="head at every block"):
        Backprop(Local())(MLP, parameters, batch, Counter(0))


def test_a_contrast_is_what_its_formula_says_and_its_gradient_autograds():
    x = torch.randn(5, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values, gradient = contrast(x, 0.3)
    z = torch.nn.functional.normalize(x, dim=-1)
    own = []
    for b in range(5):
        for p in range(4):
            means = torch.stack([z[j, [q for q in range(4) if q != p]].mean(0) for j in range(5)])
            similar = torch.nn.functional.normalize(means, dim=-1) @ z[b, p] / 0.3
            own.append(-torch.log_softmax(similar, 0)[b])
    torch.testing.assert_close(values, torch.stack(own).view(5, 4).mean(1))

    def held(moving):
        means = torch.nn.functional.normalize(z.sum(1, keepdim=True) - z, dim=-1)
        logits = torch.einsum("bpc,jpc->bpj", torch.nn.functional.normalize(moving, dim=-1), means) / 0.3
        labels = torch.arange(5).repeat_interleave(4)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels)

    torch.testing.assert_close(gradient, torch.func.grad(held)(x))
    with pytest.raises(UserError, match="two patches"):
        contrast(x[:, :1], 0.3)
    with pytest.raises(UserError, match="temperature must be above zero"):
        Contrastive(temperature=0)


def test_a_run_that_was_cut_off_ends_with_the_same_bits(tmp_path):
    x, y = torch.rand(60, 1, 6), torch.randint(3, (60,))
    settings = Learning(epochs=3, batch_size=20, learning_rate=0.1)

    def run(checkpoint, stop_at=None):
        parameters, calls = MLP.initial(0), []

        def batches(index):
            calls.append(index)
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            return Batch(x[index], y[index])

        points = learn(
            parameters, by(MLP, ActivityPerturbation()), batches, 60, settings, seed=1, name="cut",
            checkpoint=checkpoint, checkpoint_interval_s=0,
        )  # fmt: skip
        return parameters, points

    whole = run(None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "c.safetensors", stop_at=6)
    again = run(tmp_path / "c.safetensors")
    assert again[1] == whole[1]
    for name, value in whole[0].items():
        assert torch.equal(value, again[0][name])
