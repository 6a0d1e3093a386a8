import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the references are torch networks")

import living  # noqa: E402  it imports torch
import run_cache  # noqa: E402

SIDE = 96
NAMES = ("efficientnet_b0", "mobilenet_v2", "efficientnet-lite0")
TAPS = {"stem", "top", *(f"stage{i}" for i in range(1, 8))}


def reference(name: str, side: int = SIDE, seed: int = 0) -> living.Reference:
    if name == "mobilenet_v2":
        return living.mobilenet_v2_reference(1.0, side, seed)
    if "lite" in name:
        pytest.importorskip("efficientnet_lite_pytorch", reason="the peer of Lite is missing")
        return living.efficientnet_lite_reference(name, side, seed)
    return living.efficientnet_reference(name, side, seed)


@pytest.fixture(scope="module", params=NAMES)
def alive(request: pytest.FixtureRequest) -> living.Reference:
    return reference(request.param)


def test_answers_depend_on_the_picture(alive):
    assert alive.spread() >= 0.1


def test_rounding_is_not_amplified(alive):
    assert alive.noise() <= 5e-5
    # Measuring in float64 must not have turned the network itself.
    assert {p.dtype for p in alive.module.parameters()} == {torch.float32}


def test_default_weights_are_not_alive():
    models = living.import_torchvision().models
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = models.efficientnet_b0()
        pictures = living.unlike_pictures(4, SIDE, 0)
        taps, mean, std = {}, living.IMAGENET_MEAN, living.IMAGENET_STD
        logits, _ = living.run_reference(module, pictures, taps, mean, std)
        # The signal dies out on its way, which a ratio can't see while every bias is zero …
        assert np.abs(logits).max() < 1e-6
        # … and does see once the classifier has one, be it torch's own.
        module.classifier[1].reset_parameters()
    logits, _ = living.run_reference(module, pictures, taps, mean, std)
    assert living.spread(logits) < 0.1


def test_a_seed_decides_every_weight(alive, tmp_path, monkeypatch):
    # The weights the constructor drew differ, so whatever enliven left alone would show.
    monkeypatch.setenv(run_cache.FOLDER, str(tmp_path))  # nothing is kept there yet
    again = reference(alive.name.removesuffix("_1"))
    assert again.state_dict.keys() == alive.state_dict.keys()
    assert all(torch.equal(again.state_dict[k], v) for k, v in alive.state_dict.items())
    other = reference(alive.name.removesuffix("_1"), seed=1)
    same = [k for k, v in alive.state_dict.items() if torch.equal(other.state_dict[k], v)]
    assert all(k.endswith("num_batches_tracked") for k in same)


def test_running_statistics_are_not_the_defaults(alive):
    norms = [m for m in alive.module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        assert (norm.running_mean != 0).all()
        assert (norm.running_var != 1).all()
        # enliven borrows the momentum: training the network later must find its own.
        assert norm.momentum < 0.5
        assert not norm.training


def test_only_branches_beside_a_skip_are_small(alive):
    small = living.residual_norms(alive.module)
    # B0 and Lite0 repeat 1, 2, 2, 3, 3, 4, 1 blocks and MobileNetV2 1, 2, 3, 4, 3, 3, 1.
    assert len(small) == {"mobilenet_v2_1": 10}.get(alive.name, 9)
    for name, norm in alive.module.named_modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            assert (norm.weight.max() <= 0.45) == (name in small)


def test_enliven_refuses_unknown_norms():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match="no batch norms"):
        living.enliven(module, torch.zeros(2, 3, 4, 4), seed=0, residual_norms=["2"])


def test_every_stage_is_tapped(alive):
    assert alive.features.keys() == TAPS
    sides = [alive.features[f"stage{i}"].shape[1:3] for i in range(1, 8)]
    assert sides == [(s, s) for s in (48, 24, 12, 6, 6, 3, 3)]
    assert alive.features["stem"].shape[1:] == (48, 48, 32)
    assert alive.features["top"].shape[1:] == (3, 3, 1280)


@pytest.mark.parametrize("side", [96, 97])
def test_lite_pads_as_it_would_for_a_fixed_side(side):
    free = reference("efficientnet-lite0", side)
    fixed = type(free.module).from_name("efficientnet-lite0", image_size=side)
    fixed.load_state_dict(free.state_dict)
    logits, _ = living.run_reference(fixed, free.pictures, {}, free.mean, free.std)
    assert living.relative_error(logits, free.logits) < 1e-6


def test_double_precision_features_agree(alive):
    logits, features = alive.run(torch.float64)
    assert logits.dtype == np.float64
    assert living.relative_error(alive.logits, logits) <= 5e-5
    for name, feature in features.items():
        assert living.relative_error(alive.features[name], feature) <= 5e-5


def test_pictures_are_unlike():
    pictures = living.unlike_pictures(12, 33, 0)
    assert pictures.shape == (12, 33, 33, 3)
    assert pictures.dtype == np.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 255
    for i, picture in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(picture - other).mean() > 10
    np.testing.assert_array_equal(pictures, living.unlike_pictures(12, 33, 0))


def test_relative_error_refuses_to_broadcast():
    with pytest.raises(ValueError, match="shape"):
        living.relative_error(np.ones((2, 3)), np.ones((1, 3)))
