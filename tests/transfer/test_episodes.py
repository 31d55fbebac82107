"""Episodes of few-shot learning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import transfer
from ncjax.transfer.episodes import equal_parts
from ncjax.transfer.learners import LEARNERS

C, N, D = 5, 12, 8
rng = np.random.default_rng(3)
CENTRES = rng.normal(size=(C, 1, D))
FEATURES = jnp.float32(CENTRES + rng.normal(size=(C, N, D)) * 0.7)
KEY = jax.random.key(0)


@pytest.mark.slow
def test_separate_classes_are_learned_from_one_example():
    apart = jnp.float32(10 * CENTRES + rng.normal(size=(C, N, D)) * 0.01)
    for name in LEARNERS:
        errors = transfer.episodes(
            apart, KEY, shots=1, queries=5, number=20, learner=name
        )
        assert errors.shape == (20,)
        assert (errors == 0).all()


@pytest.mark.slow
def test_noise_is_guessed_and_more_shots_help():
    noise = jnp.float32(rng.normal(size=(2, 40, D)))
    errors = transfer.episodes(noise, KEY, shots=5, number=300)
    assert abs(float(errors.mean()) - 0.5) < 0.03
    few, many = (
        float(transfer.episodes(FEATURES, KEY, shots=m, queries=6, number=200).mean())
        for m in (1, 6)
    )
    assert many < few - 0.02


def test_an_episode_draws_no_example_twice():
    """A class whose examples are its number: each query differs from each shot."""
    tags = jnp.float32(np.arange(C * N).reshape(C, N, 1)) * jnp.ones(D)
    seen = []

    def spy(support, queries):
        jax.debug.callback(lambda s, q: seen.append((s, q)), support, queries)
        return jnp.zeros((len(queries), len(support)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LEARNERS, "spy", spy)
        options = {"shots": 4, "queries": 8, "ways": 3, "number": 6, "learner": "spy"}
        transfer.episodes(tags, KEY, **options).block_until_ready()
    jax.effects_barrier()
    assert len(seen) == 6
    for support, queries in seen:
        values = np.concatenate([support[..., 0].ravel(), queries[:, 0]])
        assert len(set(values.tolist())) == 3 * 12
    assert len({float(support[0, 0, 0]) for support, _ in seen}) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": 6, "queries": 7}, r"6 \+ 7 examples of each class.*has 12"),
        ({"shots": 0}, "shots must be at least 1, got 0"),
        ({"shots": 1, "queries": 0}, "queries must be at least 1, got 0"),
        ({"shots": 1, "number": 0}, "number must be at least 1, got 0"),
        ({"shots": 1, "ways": 6}, r"ways must be in 2\.\.5, got 6"),
        ({"shots": 1, "queries": 5, "learner": "knn"}, "Unknown learner 'knn'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        transfer.episodes(FEATURES, KEY, **options)


def test_classes_are_cut_to_the_same_number():
    labels = np.array([1, 0, 1, 1, 0, 2, 2])
    np.testing.assert_array_equal(equal_parts(labels, 3), [[1, 4], [0, 2], [5, 6]])
    np.testing.assert_array_equal(equal_parts(labels, 3, 1), [[1], [0], [5]])
    with pytest.raises(ValueError, match="Class 3 has no example"):
        equal_parts(labels, 4)
