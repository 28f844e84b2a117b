"""What the labels mean, and scorers for GridSearchCV that are right for either labelling.

scikit-learn's own ``scoring="roc_auc"`` takes the larger label for the positive class. That is
right for labels in {+1, -1}, where +1 is normal as ``decision_function`` is; with labels in
{0, 1}, 1 = anomaly, it is **silently inverted**: the best detector comes out worst. The scorers
here read the labels with `anomaly_labels` and are right for both.

`held_out_likelihood`, `pool_auc` and `stability` need no labels. ``skvae study selection`` measures
how much of what labels would choose each of them finds.

`pixel_roc_auc`, `pixel_average_precision` and `aupro` judge error maps of images by masks.
"""

from skvae.metrics._labels import (
    anomaly_labels,
    average_precision,
    f1,
    is_of_few,
    known_labels,
    roc_auc,
    two_class_labels,
)
from skvae.metrics._pixels import aupro, pixel_average_precision, pixel_roc_auc
from skvae.metrics._unlabelled import held_out_likelihood, pool_auc, stability

__all__ = [
    "anomaly_labels",
    "aupro",
    "average_precision",
    "f1",
    "held_out_likelihood",
    "is_of_few",
    "known_labels",
    "pixel_average_precision",
    "pixel_roc_auc",
    "pool_auc",
    "roc_auc",
    "stability",
    "two_class_labels",
]
