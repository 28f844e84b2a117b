"""What the docstrings of detectors share, and the decorator that puts it in its places."""

import inspect
import re
from functools import partial

SHARED = """
latent_dim : int, default=8
    Number of latents; at most the number of features is used, see ``latent_dim_``.
hidden_layer_sizes : int or sequence of int, default=(64, 32)
    Widths of the encoder's hidden layers; the decoder has them in reverse. ``()`` is linear.
activation : {"relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softplus", \
        "identity"}, default="relu"
    Of the hidden layers.
output_activation : str or None, default=None
    Of the output, a name as in ``activation``. None takes the one that belongs to the
    likelihood: "sigmoid" for "bernoulli", else "identity".
beta : float, default=1.0
    Weight of the KL divergence: the error is summed over features, the KL over latents, and
    only samples are averaged, so 1 is the evidence lower bound.
likelihood : {"gaussian", "mse", "laplace", "bernoulli"}, default="gaussian"
    How an error counts. "gaussian" and "laplace" learn a scale for each feature; "mse" is the
    plain squared error; "bernoulli" is the cross-entropy for values in [0, 1].
scaler : {"standard", "minmax"}, transformer or None, default="standard"
    What is done to the columns first. A transformer must keep their number; None where the
    data are scaled already, as in a Pipeline.
contamination : float, default=0.1
    Expected share of anomalies in the training data, in [0, 0.5]; 0 = clean. Twice that share
    of each batch, the rows of largest loss, gets no gradient; three times that share of the
    training rows, those of largest loss, is not trusted, and scores such as "density" are
    fitted on the others; and, unless ``percentile`` is given, that share of the training rows
    is flagged.
score : str, callable, or list of them, default=("density", "neighbors")
    What makes an anomaly score of a row x, its reconstruction x_hat and its latents:

    - "reconstruction": squared error, summed over the features;
    - "standardized": the same in units of each feature's residual variance;
    - "mahalanobis": squared Mahalanobis distance of the residual;
    - "elbo": error plus KL divergence, the negative evidence lower bound;
    - "iwae": the tighter importance-weighted bound, over 6 fixed draws of the posterior;
    - "reconstruction_probability": mean of -log p(x|z) over 6 fixed draws;
    - "latent": squared distance of the latents from their mean, in their variances;
    - "density": negative log-density of a Gaussian mixture over [latents, residual];
    - "neighbors": mean distance to the 10 nearest trusted rows in the same space;
    - a function of ``(x, output, error)``: tensors of the scaled rows and of the error map,
      both of shape (n_samples, n_features), and an object with ``x_hat`` and ``latent``; for
      example ``lambda x, output, error: (x - output.x_hat).abs().max(1).values``. To be
      pickled it must stand in a module.

    Several are averaged as z-scores, calibrated on rows held out of the fit of each.
threshold : {"percentile", "f1", "conformal"}, float or estimator, default="percentile"
    How the scores are cut, see :mod:`skvae.thresholds`. "f1" needs ``y``; "conformal" holds out
    20 % of the rows unless ``calibration_fraction`` says otherwise, and holds for rows like
    those, so they should be normal (``train_on="normal"`` leaves labelled anomalies out). An
    estimator has ``fit(scores, y=None)`` and ``threshold_``; those of PyThresh work as well.
percentile : float, default=None
    In (0, 100), the percentage of scores at or below the threshold; "conformal" takes
    alpha = 1 - percentile / 100. None is ``100 * (1 - contamination)``, and 95 for
    "conformal" and where the contamination is 0.
calibration_fraction : float, default=None
    Share of the rows held out of the training for the threshold, in [0, 1). A percentile of
    training scores is optimistic: more new rows exceed it than it says. None is 0.2 for
    "conformal" and 0 else.
train_on : {"all", "normal", "labels"}, default="all"
    What is made of rows that ``y`` calls anomalies: they are trained on as all others; or
    left out; or, where a few rows are labelled, learned from. With "normal" set
    ``contamination=0`` as well, if the labels are to be trusted. With "labels" ``y`` is -1 for
    known anomalies, one at least, +1 for known normal rows and 0 for all others. Known
    anomalies are left out of the training and correct the score, which then counts log-odds
    (`skvae.scores.Labelled`); known normal rows are never trimmed, and are trusted. Three labels
    may cost as much as they gain; ten seldom do. Scorers take such labels as well, and count
    what is not known for normal.
anomaly_weight : float, default=0.0
    With ``train_on="labels"`` and more than 0, known anomalies also push in the training: drawn
    beside each batch, they add ``anomaly_weight`` times the mean of ``max(0, L + n - l)``, with
    their loss ``l``, the batch's mean loss ``L`` and the number of features ``n``, a nat each.
    That raises the loss of their like, but less than their own, so that the corrected score
    learns less of them. Tables differ in which is better; those on which the default was chosen
    were better off with 0.
max_steps : int or None, default=600
    Number of batches after which training ends, whatever the number of rows.
max_epochs : int or None, default=None
    Passes through the rows after which training ends, if that comes first.
batch_size : int, default=64
    Rows of a step.
lr : float, default=0.003
    Peak learning rate: it warms up over 20 steps and falls to 1 % along a cosine. A skorch
    ``LRScheduler`` among the callbacks takes the place of that schedule.
optimizer : {"adam", "adamw", "sgd"} or torch optimizer class, default="adam"
    What makes a step of a gradient.
early_stopping : bool, default=False
    Whether to hold out ``validation_fraction`` of the rows and to stop once their loss has
    not improved for ``patience`` epochs; the best weights are restored, in memory. It can act
    only where ``max_steps`` leaves room for more epochs than that: set ``max_steps=None`` and
    ``max_epochs`` for large tables.
validation_fraction : float, default=0.1
    Share of the rows that early stopping holds out, in (0, 1).
patience : int, default=5
    Epochs without a better loss, after which early stopping ends the training.
callbacks : list of skorch callbacks, default=None
    Instances, or (name, instance) pairs. What they may monitor is "train_loss",
    "reconstruction", "kl" and, with early stopping, "valid_loss". One that listens to batches
    or gradients makes training use skorch's slower loop.
device : str or torch.device, default="cpu"
    "auto" takes a GPU where there is one. Networks this small are fastest on a CPU.
n_estimators : int, default=1
    Networks of the ensemble. They differ in initial weights and order of the rows, and are
    trained together; "density" and "neighbors" are fitted for each. Their scores, brought to
    one mean and spread, are averaged. The spread over ``random_state`` falls with it; the
    quality of the ranking hardly rises. See ``anomaly_score(X, return_std=True)``.
random_state : int, RandomState instance or None, default=None
    With an int the same data give the same bits on one machine's CPU.
warm_start : bool, default=False
    Whether another ``fit`` goes on from the weights and the scaler of the last; ``history_``
    and ``n_steps_`` are those of the last fit.
verbose : int, default=0
    0 is silent, 1 shows a progress bar, 2 prints a line an epoch.
threshold_, offset_ : float
    A row is an anomaly where ``anomaly_score(X) > threshold_``; ``offset_ = -threshold_``.
calibration_scores_ : ndarray of shape (n_calibration,)
    The anomaly scores that the threshold was fitted on: of held-out rows; or of the training
    rows, of 10,000 of them at most where no labels are read; or, where ``contamination`` is 0,
    of the 5,000 at most that the score was fitted on, each as if it had not been among them.
calibration_is_held_out_ : bool
    Whether those rows were held out of the training, or given to ``set_threshold``.
history_ : DataFrame
    A row an epoch: epoch, loss, reconstruction, kl, valid_loss (with early stopping) and
    duration in seconds. Losses are in nats a row ("mse": in squared units).
latent_dim_ : int
    Number of latents used.
n_steps_ : int
    Number of batches trained on.
net_ : skorch.NeuralNet
    Its ``module_`` holds the network and the likelihood.
scaler_ : fitted transformer or None
    What the columns were scaled by.
error_map_scale_ : tuple of two floats
    Ends of one scale for pictures of error maps: the 0.1 % quantile, or zero if that is lower,
    and the 99.9 % quantile of the maps of 100 training rows.
score_ : fitted score
    What ``score`` names, fitted on trusted rows.
thresholder_ : fitted threshold estimator
    What ``threshold`` names, fitted on ``calibration_scores_``.
device_ : torch.device
    Where the network is.
n_features_in_ : int
    Number of columns.
feature_names_in_ : ndarray of str
    Only for input with column names that are strings.
"""


def _entries(text):
    """Name -> description, of lists of parameters or attributes."""
    parts = re.split(r"^(?=\w[\w, ]* : )", text, flags=re.M)[1:]
    return {re.match(r"\w+", part)[0]: re.split(r"\n\n(?=\S)", part)[0].rstrip() for part in parts}


def documented(made=None, *, like=None):
    """Put the shared descriptions in place of lines such as ``<lr>`` in the docstring of a class.

    So each is written once; what a class does differently stands in its own docstring. Those of
    the class ``like`` come before the shared ones.
    """
    if made is None:
        return partial(documented, like=like)
    if made.__doc__ is not None:  # python -OO leaves none
        entries = _entries(SHARED) | ({} if like is None else _entries(like.__doc__))
        doc = inspect.cleandoc(made.__doc__)
        doc = re.sub(r"^<(\w+)>$", lambda line: entries[line[1]], doc, flags=re.M)
        made.__doc__ = f"{doc}\n"
    return made
