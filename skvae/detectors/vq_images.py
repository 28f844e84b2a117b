"""The vector-quantised autoencoder for images."""

import torch
from torch.nn import functional as F

from skvae.base._input import sizes, spread_rows, taken
from skvae.detectors._codes import CODE_CONSTRAINTS, CodesMixin
from skvae.detectors._docs import documented
from skvae.detectors._image_detector import ImageDetector
from skvae.detectors.images import ConvAEDetector
from skvae.networks import ConvVQ, smallest_side
from skvae.scores import IMAGE_SCORE

# Places of so many images tell how many differ.
MAX_IMAGES = 200


@documented(like=ConvAEDetector)
class ConvVQVAEDetector(CodesMixin, ImageDetector):
    """Convolutional vector-quantised autoencoder for images: each becomes a small map of codes.

    The default in three sentences: a convolutional network, whose last feature maps are replaced,
    place by place, by the nearest of 64 learned codes of 8 numbers, is trained on images in [0, 1]
    for 1,500 batches; of an image of 28 x 28 these are 7 x 7 places. Three scores ask what is
    unusual about an image: how its structure differs from the reconstruction, by what is usual for
    images like it; how improbable its shape is among those of the training; and how many nats it
    takes to tell its pixels and its codes, rare codes taking more. Each is calibrated on trusted
    images, and one that stands out suffices; images whose score exceeds that of 95 % of the trusted
    ones, scored as if they were new, are flagged.

    Images are taken as `ConvAEDetector` takes them.

    Parameters
    ----------
    <image_shape>
    latent_dim : int, default=8
        Number of latents of a place: the length of a code.
    channels : sequence of int, default=(16, 32)
        Output channels of each 4x4 convolution of stride 2; the decoder has them in reverse. Each
        halves the sides of the map of codes, which is a quarter of the image's with two.
    hidden_layer_sizes : int or sequence of int, default=(64,)
        Widths of the layers between convolutions and codes, which see one place each; the decoder
        has them in reverse. ``()`` has one linear layer.
    <norm>
    <attention>
    <activation>
    <output_activation>
    n_codes : int, default=64
        Number of codes, which all places share.
    beta : float, default=0.25
        Weight of the commitment, the squared distance of the latents from their codes, summed over
        the latents of an image: it draws latents to codes, while codes follow the latents by moving
        averages. Here it weighs no KL divergence.
    <likelihood>
    contamination : float, default=0.0
        Expected share of anomalies in the training images, in [0, 0.5]; 0 = clean. Twice that share
        of each batch, the images of largest loss, gets no gradient; three times that share of the
        training images, those of largest loss, is not trusted, and scores are fitted on the others;
        and, unless ``percentile`` is given, that share of the training images is flagged.
    score : str, callable, or list of them, default=("local", "hog_density", "description_length")
        What makes an anomaly score of an image x, its reconstruction x_hat and its latents: those
        of `ConvAEDetector`, and

        - "rarity": ``-log`` of the share of training images that have the same code at the same
          place, summed over the places, in nats;
        - "description_length": the cross-entropy of the pixels and the rarity;
        - a function, whose ``output`` has ``penalty``, the commitment, and ``parts["rarity"]`` as
          well.

        Several are calibrated on images held out of the fit of each, and fused by their smooth
        maximum, ``log mean exp z``.
    <threshold>
    <percentile>
    calibration_fraction : float, default=None
        Share of the images held out of the training for the threshold, in [0, 1). None is 0.2 for
        "conformal" and 0 else. Without it a percentile is only as good as scores of images that
        the network has seen.
    <train_on>
    <anomaly_weight>
    <max_steps>
    <max_epochs>
    <batch_size>
    <lr>
    <optimizer>
    <early_stopping>
    <validation_fraction>
    <patience>
    callbacks : list of skorch callbacks, default=None
        Instances, or (name, instance) pairs. What they may monitor is "train_loss",
        "reconstruction", "commitment", "rarity" and, with early stopping, "valid_loss". One that
        listens to batches or gradients makes training use skorch's slower loop.
    <device>
    <n_estimators>
    <random_state>
    <warm_start>
    <verbose>

    Attributes
    ----------
    <threshold_>
    <calibration_scores_>
    <calibration_is_held_out_>
    history_ : DataFrame
        A row an epoch: epoch, loss, reconstruction, commitment, rarity, valid_loss (with early
        stopping) and duration in seconds. Losses are in nats an image ("mse": in squared units);
        the rarity is the mean over the images, in nats.
    latent_dim_ : int
        Number of latents of an image: ``latent_dim`` for each place.
    <n_steps_>
    <net_>
    perplexity_ : ndarray of shape (n_estimators, 1)
        How many evenly used codes would be as hard to guess as those of the training images,
        whatever the place: between 1, where one code serves everything, and ``n_codes``.
    <error_map_scale_>
    <score_>
    <thresholder_>
    <device_>
    <image_preparation_>
    <n_features_in_>
    <feature_names_in_>

    Warns
    -----
    UserWarning
        If the codes are dying: their perplexity is below a fifth of what it could be, which is
        ``n_codes``, or less where the images have equal patches, since these share a code.

    See Also
    --------
    ConvVAEDetector : With one code for the whole image; the first choice for images.
    VQVAEDetector : For tables.

    Notes
    -----
    **How it works.** The latents z of a place are replaced by the nearest code e; the loss is the
    error plus ``beta * |z - sg(e)|**2``, where sg stops the gradient, and the decoder's gradient
    passes straight through to z. Codes are moving averages of the latents nearest to them, of a
    decay of 0.8 a batch; one with less than a tenth of an even count is put on a place of the
    batch. Latents are those before they are replaced: `transform` returns them, place by place
    from the top left corner, and `inverse_transform` takes any and replaces them by the nearest
    codes.

    **What it is worth.** On digits it ties with `ConvVAEDetector`, elsewhere it is behind it. By
    ``skvae study families``, 3 seeds, its mean AUROC is .975 for one digit among others, .909 for
    digits that were shifted, .890 for line plots, and .315, worse than chance, for brain slices, of
    which there are 227 to train on; `ConvVAEDetector` has .976, .901, .951 and .747. A fit takes
    about as long: 34 and 31 CPU seconds on 5,000 digits. The defaults were chosen by corruptions of
    MNIST's training images alone.

    **Where it fails.** A map of codes tells an image in much more detail than one code for all of
    it, and each place by what lies near it: so strange images are reconstructed nearly as well as
    normal ones, and reconstruction alone ranks them badly. Codes of places are taken as independent
    of each other, so a strange combination of codes that are usual where they stand is not rare;
    the prior of the paper, a second network that learns what stands beside what, is not here. An
    image that lost some of its strokes has frequent codes. Rarity supposes that places mean the
    same in all images, as they do where digits are centred or slices aligned. The averages see all
    images of a batch, those that its loss leaves out as well. Of large images the latents are many,
    half as many as pixels of one channel with the defaults: give a longer ``channels``.

    References
    ----------
    van den Oord, Vinyals, Kavukcuoglu (2017), Neural discrete representation learning,
    arXiv:1711.00937; the moving averages are those of its appendix A.1.
    Dhariwal, Jun, Payne, Kim, Radford, Sutskever (2020), Jukebox: a generative model for music,
    arXiv:2005.00341: the revival of dead codes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skvae import ConvVQVAEDetector
    >>> X = load_digits().images / 16  # 1,797 images of 8 x 8
    >>> detector = ConvVQVAEDetector(max_steps=150, random_state=0).fit(X[:1500])
    >>> noisy = np.clip(X[1500:] + 0.5 * np.random.RandomState(0).randn(297, 8, 8), 0, 1)
    >>> detector.score(np.r_[X[1500:], noisy], np.repeat([1, -1], 297)) > 0.95
    True
    >>> detector.transform(X).shape  # 2 x 2 places of 8 latents
    (1797, 32)
    >>> bool(detector.perplexity_[0, 0] > 10)
    True
    """

    _network_parameters = (*ImageDetector._network_parameters, "n_codes")
    _parameter_constraints: dict = {**ImageDetector._parameter_constraints, **CODE_CONSTRAINTS}

    def __init__(
        self,
        *,
        image_shape=None,
        latent_dim=8,
        channels=(16, 32),
        hidden_layer_sizes=(64,),
        norm=None,
        attention=None,
        activation="relu",
        output_activation=None,
        n_codes=64,
        beta=0.25,
        likelihood="bernoulli",
        contamination=0.0,
        score=IMAGE_SCORE,
        threshold="percentile",
        percentile=None,
        calibration_fraction=None,
        train_on="all",
        anomaly_weight=0.0,
        max_steps=1500,
        max_epochs=None,
        batch_size=128,
        lr=2e-3,
        optimizer="adam",
        early_stopping=False,
        validation_fraction=0.1,
        patience=5,
        callbacks=None,
        device="cpu",
        n_estimators=1,
        random_state=None,
        warm_start=False,
        verbose=0,
    ):
        self.image_shape = image_shape
        self.latent_dim = latent_dim
        self.channels = channels
        self.hidden_layer_sizes = hidden_layer_sizes
        self.norm = norm
        self.attention = attention
        self.activation = activation
        self.output_activation = output_activation
        self.n_codes = n_codes
        self.beta = beta
        self.likelihood = likelihood
        self.contamination = contamination
        self.score = score
        self.threshold = threshold
        self.percentile = percentile
        self.calibration_fraction = calibration_fraction
        self.train_on = train_on
        self.anomaly_weight = anomaly_weight
        self.max_steps = max_steps
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.device = device
        self.n_estimators = n_estimators
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    def _build_network(self, shape, generator):
        return ConvVQ(
            shape,
            self.latent_dim,
            sizes(self.channels),
            sizes(self.hidden_layer_sizes),
            activation=self.activation,
            output_activation=self.output_activation or "sigmoid",
            norm=self.norm,
            attention=() if self.attention is None else sizes(self.attention),
            n_codes=self.n_codes,
            generator=generator,
        )

    def _coded(self, X, rows):
        some = taken(X, rows[spread_rows(len(rows), MAX_IMAGES)])
        images = torch.cat(list(self._network_blocks(some)))
        side = smallest_side(sizes(self.channels))
        height, width = images.shape[2:]
        images = F.pad(images, (0, -width % side, 0, -height % side))
        return F.unfold(images, side, stride=side).transpose(1, 2).flatten(0, 1).cpu().numpy()
