"""Classes that move to other vectors of a frame between two epochs."""

import numpy as np
import pytest

import ncjax
from ncjax.classifiers import assigned
from ncjax.training import reassign
from tests.training.test_kept import small, train

RNG = np.random.default_rng(0)


def test_each_network_has_an_order_of_its_own():
    frames = np.stack([np.eye(4)] * 3)
    orders = [RNG.permutation(4) for _ in frames]
    means = np.stack([3 * np.eye(4)[order] + 5.0 for order in orders])
    found = reassign._reassigned(frames, means)
    np.testing.assert_array_equal(found, np.stack([np.eye(4)[o] for o in orders]))
    alone = reassign._reassigned(frames[0], means[0])
    np.testing.assert_array_equal(alone, found[0])


@pytest.mark.slow
def test_classes_move_to_the_vectors_of_their_means(tmp_path):
    """Two seeds of one program: each has an order of its own, after that epoch."""
    config = small(assign="linear", assign_epochs=(2,))
    config.num_seeds, config.num_epochs = 2, 2
    config.optimizer.learning_rate = 1e-6  # features do not come to the vectors
    train(config, tmp_path / "run")
    start, moved = [], []
    for seed in (0, 1):
        for found, epoch in ((start, 1), (moved, 2)):
            run = ncjax.load(tmp_path / "run", epoch, seed=seed)
            frame = np.asarray(run.classifier[0])
            found.append(frame)
            if epoch == 2:
                best = assigned.reassigned(frame, np.asarray(run.class_means))
                np.testing.assert_array_equal(best, frame)
    np.testing.assert_array_equal(start[0], start[1])
    for frame in moved:
        assert not np.array_equal(frame, start[0])
        np.testing.assert_array_equal(
            frame[np.lexsort(frame.T)], start[0][np.lexsort(start[0].T)]
        )
