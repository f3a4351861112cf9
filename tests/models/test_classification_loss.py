"""Loss and accuracy of a classifier, by hand."""

import numpy as np
import pytest

from penstock.models.classification.loss import Accuracy, CrossEntropy

LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32))


def test_cross_entropy_by_hand():
    """-ln 0.7 = 0.3567, -ln 0.3 = 1.2040, mean 0.7803."""
    assert float(CrossEntropy()(np.array([0, 1]), LOGITS)) == pytest.approx(0.7803, abs=1e-4)


def test_label_smoothing_by_hand():
    """q = (.8, .1, .1): -.8 ln .7 - .1 ln .2 - .1 ln .1 = .2853 + .1609 + .2303 = .6765."""
    loss = CrossEntropy(label_smoothing=0.3)
    assert float(loss(np.array([0]), LOGITS[:1])) == pytest.approx(0.6765, abs=1e-4)


def test_ids_and_their_distributions_are_the_same_targets():
    ids, one_hot = np.array([2, 1]), np.eye(3, dtype=np.float32)[[2, 1]]
    for smoothing in (0.0, 0.1):
        loss = CrossEntropy(label_smoothing=smoothing)
        assert float(loss(ids, LOGITS)) == pytest.approx(float(loss(one_hot, LOGITS)))
    for k, expected in [(1, 0.0), (2, 0.5), (3, 1.0)]:
        for targets in (ids, one_hot):
            metric = Accuracy(k)
            metric.update_state(targets, LOGITS)
            assert float(metric.result()) == expected


def test_equal_logits_do_not_score_in_full():
    """A network that has learnt nothing says 0 everywhere; it is right where the label is 0."""
    metric = Accuracy()
    metric.update_state(np.arange(4), np.zeros((4, 4), np.float32))
    assert float(metric.result()) == 0.25
