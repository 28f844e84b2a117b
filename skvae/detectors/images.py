"""Convolutional detectors for images."""

from numbers import Real

from sklearn.utils._param_validation import Interval

from skvae.detectors._docs import documented
from skvae.detectors._image_detector import ImageDetector
from skvae.scores import IMAGE_SCORE


@documented
class ConvAEDetector(ImageDetector):
    """Convolutional autoencoder for images: `ConvVAEDetector` without a prior on the latents.

    The default in three sentences: a small convolutional network is trained on images in [0, 1] for
    1,500 batches. Three scores ask what is unusual about an image: how its structure differs from
    the reconstruction, by what is usual for images like it; how improbable its shape is among those
    of the training; and how many nats its pixels take. Each is calibrated on trusted images, and
    one that stands out suffices; images whose score exceeds that of 95 % of the trusted ones,
    scored as if they were new, are flagged.

    Images are arrays of shape (n, H, W), (n, C, H, W) or (n, H, W, C), or rows of numbers with
    ``image_shape``; uint8 from 0 to 255, bool, or floats in [0, 1]; or an `ImageFolder`, which is
    read batch by batch. They may have any size that can be halved once a convolution; other
    sides are padded inside. uint8 stays uint8 in memory.

    Parameters
    ----------
    image_shape : tuple, default=None
        (height, width), (channels, height, width) or (height, width, channels): what a row of X
        holds. Not needed where X is an array of images of 1 to 4 channels. Rows without it are a
        table of any numbers, whose columns are scaled to [0, 1] and filled up to a square.
    latent_dim : int, default=16
        Number of latents.
    channels : sequence of int, default=(16, 32)
        Output channels of each 4x4 convolution of stride 2; the decoder has them in reverse.
    hidden_layer_sizes : int or sequence of int, default=(128,)
        Widths of the fully connected layers between convolutions and latents; the decoder has them
        in reverse.
    norm : {"batch", "group"} or None, default=None
        Normalisation after each convolution but the last.
    attention : int or sequence of int, default=None
        Heights, in pixels, of the feature maps between whose places self-attention passes
        information, in encoder and decoder: of images of 28 x 28 and two convolutions 14 or 7.
        Pixels far apart then count together; a step takes longer. At most 1,024 places.
    <activation>
    output_activation : str or None, default=None
        Of the output, a name as in ``activation``. None is "sigmoid", whose values are in [0, 1] as
        those of images are.
    likelihood : {"bernoulli", "mse", "gaussian", "laplace"}, default="bernoulli"
        How an error counts: "bernoulli" is the cross-entropy of pixels as probabilities; "mse" is
        the plain squared error; "gaussian" and "laplace" learn a scale for each channel.
    contamination : float, default=0.0
        Expected share of anomalies in the training images, in [0, 0.5]; 0 = clean. Twice that share
        of each batch, the images of largest loss, gets no gradient; three times that share of the
        training images, those of largest loss, is not trusted, and scores are fitted on the others;
        and, unless ``percentile`` is given, that share of the training images is flagged. It is 0
        here and 0.1 for tables, because detectors of images are mostly trained on clean ones, and
        what is left out then is missed: on MNIST 0.1 costs 0.02 to 0.06 of AUROC.
    score : str, callable, or list of them, default=("local", "hog_density", "description_length")
        What makes an anomaly score of an image x, its reconstruction x_hat and its latents. Those
        of `VAEDetector` count pixels as features; those of images alone are:

        - "ssim": mean of 1 - SSIM of image and reconstruction;
        - "relative": the same divided by the mean intensity of the image;
        - "local": that divided by its mean over the nearest trusted images in the latent space;
        - "perceptual": squared distance in histograms of oriented gradients (HOG); of other
          features with ``skvae.scores.Perceptual(module)``;
        - "description_length": cross-entropy of the pixels, and KL divergence where there is one;
        - "latent_density", "hog_density": negative log-density of a Gaussian mixture of latents, of
          HOG features;
        - "latent_neighbors", "hog_neighbors": mean distance to the nearest trusted images;
        - "reconstruction", "standardized", "mahalanobis", "latent", "density",
          "neighbors": as for tables;
        - a function of ``(x, output, error)``: tensors of the images and of the error map, both of
          shape (n, channels, height, width), and an object with ``x_hat`` and ``latent``. To be
          pickled it must stand in a module.

        Several are calibrated on images held out of the fit of each, and fused by their smooth
        maximum, ``log mean exp z``.
    threshold : {"percentile", "f1", "conformal"}, float or estimator, default="percentile"
        How the scores are cut, see `skvae.thresholds`. "f1" needs ``y``; "conformal" holds out 20 %
        of the images unless ``calibration_fraction`` says otherwise. It holds for images like them,
        so they should be normal (``train_on="normal"`` leaves labelled anomalies out). An estimator
        has ``fit(scores, y=None)`` and ``threshold_``; those of PyThresh work as well.
    <percentile>
    calibration_fraction : float, default=None
        Share of the images held out of the training for the threshold, in [0, 1). None is 0.2 for
        "conformal" and 0 else. Without it a percentile is only as good as scores of images that
        the network has seen: of new MNIST images about 4 % exceed the 95th percentile after a
        training on 20,000 and 7 % on 5,000, which a share of 0.1 would mend.
    train_on : {"all", "normal", "labels"}, default="all"
        What is made of images that ``y`` calls anomalies: they are trained on as all others; or
        left out; or, where a few images are labelled, learned from. With "normal" set
        ``contamination=0`` as well, if the labels are to be trusted. With "labels" ``y`` is -1 for
        known anomalies, one at least, +1 for known normal images and 0 for all others. Known
        anomalies are left out of the training and correct the score, which then counts log-odds
        (`skvae.scores.Labelled`); known normal images are never trimmed, and are trusted.
    <anomaly_weight>
    max_steps : int or None, default=1500
        Number of batches after which training ends, whatever the number of images.
    max_epochs : int or None, default=None
        Passes through the images after which training ends, if that comes first.
    batch_size : int, default=128
        Images of a step.
    lr : float, default=0.002
        Peak learning rate: it warms up over 20 steps and falls to 1 % along a cosine. A skorch
        ``LRScheduler`` among the callbacks takes the place of that schedule.
    <optimizer>
    early_stopping : bool, default=False
        Whether to hold out ``validation_fraction`` of the images and to stop once their loss has
        not improved for ``patience`` epochs; the best weights are restored, in memory. It can act
        only where ``max_steps`` leaves room for more epochs than that: set ``max_steps=None`` and
        ``max_epochs`` for large sets.
    <validation_fraction>
    <patience>
    callbacks : list of skorch callbacks, default=None
        Instances, or (name, instance) pairs. What they may monitor is "train_loss",
        "reconstruction" and, with early stopping, "valid_loss". One that listens to batches
        or gradients makes training use skorch's slower loop.
    device : str or torch.device, default="cpu"
        "auto" takes a GPU where there is one.
    n_estimators : int, default=1
        Networks of the ensemble. They differ in initial weights and order of the images, and take
        turns in each step of the training, so ten take ten times the time of one. Their scores,
        calibrated, are averaged. See ``anomaly_score(X, return_std=True)``.
    <random_state>
    warm_start : bool, default=False
        Whether another ``fit`` goes on from the weights of the last; ``history_``
        and ``n_steps_`` are those of the last fit.
    <verbose>

    Attributes
    ----------
    threshold_, offset_ : float
        An image is an anomaly where ``anomaly_score(X) > threshold_``; ``offset_ = -threshold_``.
    calibration_scores_ : ndarray of shape (n_calibration,)
        The anomaly scores that the threshold was fitted on: of held-out images; or of the training
        images, of 10,000 of them at most where no labels are read; or, where ``contamination`` is
        0, of the 5,000 at most that the score was fitted on, each as if it had not been among them.
    calibration_is_held_out_ : bool
        Whether those images were held out of the training, or given to ``set_threshold``.
    history_ : DataFrame
        A row an epoch: epoch, loss, reconstruction, valid_loss (with early stopping) and
        duration in seconds. Losses are in nats an image ("mse": in squared units).
    <latent_dim_>
    <n_steps_>
    <net_>
    error_map_scale_ : tuple of two floats
        Ends of one scale for pictures of error maps, whose channels are summed: the 0.1 % quantile,
        or zero if that is lower, and the 99.9 % quantile of the maps of 100 training images.
    <score_>
    <thresholder_>
    <device_>
    image_preparation_ : dict or None
        How the images of an `ImageFolder` were prepared: ``load_image_folder(path,
        **detector.image_preparation_)`` prepares others as they were. None after arrays.
    n_features_in_ : int
        Numbers an image holds.
    feature_names_in_ : ndarray of str
        Only for flat images with column names that are strings.

    See Also
    --------
    ConvVAEDetector : With a prior, scores of the posterior, and a weight ``beta`` between the two.
    VAEDetector : For tables.

    References
    ----------
    Masci, Meier, Ciresan, Schmidhuber (2011), Stacked convolutional auto-encoders, ICANN.
    Wang, Bovik, Sheikh, Simoncelli (2004), Image quality assessment: from error visibility to
    structural similarity, IEEE Transactions on Image Processing 13(4).
    Dalal, Triggs (2005), Histograms of oriented gradients for human detection, CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skvae import ConvAEDetector
    >>> X = load_digits().images / 16  # 1,797 images of 8 x 8
    >>> detector = ConvAEDetector(max_steps=150, random_state=0).fit(X[:1500])
    >>> noisy = np.clip(X[1500:] + 0.5 * np.random.RandomState(0).randn(297, 8, 8), 0, 1)
    >>> detector.score(np.r_[X[1500:], noisy], np.repeat([1, -1], 297)) > 0.95
    True
    >>> detector.error_map(noisy).shape
    (297, 8, 8)
    """

    _variational = False

    def __init__(
        self,
        *,
        image_shape=None,
        latent_dim=16,
        channels=(16, 32),
        hidden_layer_sizes=(128,),
        norm=None,
        attention=None,
        activation="relu",
        output_activation=None,
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


@documented
class ConvVAEDetector(ImageDetector):
    """Convolutional variational autoencoder for images.

    The default in three sentences: a small convolutional network is trained on images in [0, 1] for
    1,500 batches. Three scores ask what is unusual about an image: how its structure differs from
    the reconstruction, by what is usual for images like it; how improbable its shape is among those
    of the training; and how many nats its pixels take. Each is calibrated on trusted images, and
    one that stands out suffices; images whose score exceeds that of 95 % of the trusted ones,
    scored as if they were new, are flagged.

    Images are arrays of shape (n, H, W), (n, C, H, W) or (n, H, W, C), or rows of numbers with
    ``image_shape``; uint8 from 0 to 255, bool, or floats in [0, 1]; or an `ImageFolder`, which is
    read batch by batch. They may have any size that can be halved once a convolution; other
    sides are padded inside. uint8 stays uint8 in memory.

    Parameters
    ----------
    image_shape : tuple, default=None
        (height, width), (channels, height, width) or (height, width, channels): what a row of X
        holds. Not needed where X is an array of images of 1 to 4 channels. Rows without it are a
        table of any numbers, whose columns are scaled to [0, 1] and filled up to a square.
    latent_dim : int, default=16
        Number of latents.
    channels : sequence of int, default=(16, 32)
        Output channels of each 4x4 convolution of stride 2; the decoder has them in reverse.
    hidden_layer_sizes : int or sequence of int, default=(128,)
        Widths of the fully connected layers between convolutions and latents; the decoder has them
        in reverse.
    norm : {"batch", "group"} or None, default=None
        Normalisation after each convolution but the last.
    attention : int or sequence of int, default=None
        Heights, in pixels, of the feature maps between whose places self-attention passes
        information, in encoder and decoder: of images of 28 x 28 and two convolutions 14 or 7.
        Pixels far apart then count together; a step takes longer. At most 1,024 places.
    <activation>
    output_activation : str or None, default=None
        Of the output, a name as in ``activation``. None is "sigmoid", whose values are in [0, 1] as
        those of images are.
    beta : float, default=1.0
        Weight of the KL divergence: the error is summed over pixels, the KL over latents, and only
        samples are averaged, so 1 is the evidence lower bound.
    likelihood : {"bernoulli", "mse", "gaussian", "laplace"}, default="bernoulli"
        How an error counts: "bernoulli" is the cross-entropy of pixels as probabilities; "mse" is
        the plain squared error; "gaussian" and "laplace" learn a scale for each channel.
    contamination : float, default=0.0
        Expected share of anomalies in the training images, in [0, 0.5]; 0 = clean. Twice that share
        of each batch, the images of largest loss, gets no gradient; three times that share of the
        training images, those of largest loss, is not trusted, and scores are fitted on the others;
        and, unless ``percentile`` is given, that share of the training images is flagged. It is 0
        here and 0.1 for tables, because detectors of images are mostly trained on clean ones, and
        what is left out then is missed: on MNIST 0.1 costs 0.02 to 0.06 of AUROC.
    score : str, callable, or list of them, default=("local", "hog_density", "description_length")
        What makes an anomaly score of an image x, its reconstruction x_hat and its latents. Those
        of `VAEDetector` count pixels as features; those of images alone are:

        - "ssim": mean of 1 - SSIM of image and reconstruction;
        - "relative": the same divided by the mean intensity of the image;
        - "local": that divided by its mean over the nearest trusted images in the latent space;
        - "perceptual": squared distance in histograms of oriented gradients (HOG); of other
          features with ``skvae.scores.Perceptual(module)``;
        - "description_length": cross-entropy of the pixels, and KL divergence where there is one;
        - "latent_density", "hog_density": negative log-density of a Gaussian mixture of latents, of
          HOG features;
        - "latent_neighbors", "hog_neighbors": mean distance to the nearest trusted images;
        - "reconstruction", "standardized", "mahalanobis", "elbo", "iwae",
          "reconstruction_probability", "latent", "density",
          "neighbors": as for tables;
        - a function of ``(x, output, error)``: tensors of the images and of the error map, both of
          shape (n, channels, height, width), and an object with ``x_hat`` and ``latent``. To be
          pickled it must stand in a module.

        Several are calibrated on images held out of the fit of each, and fused by their smooth
        maximum, ``log mean exp z``.
    threshold : {"percentile", "f1", "conformal"}, float or estimator, default="percentile"
        How the scores are cut, see `skvae.thresholds`. "f1" needs ``y``; "conformal" holds out 20 %
        of the images unless ``calibration_fraction`` says otherwise. It holds for images like them,
        so they should be normal (``train_on="normal"`` leaves labelled anomalies out). An estimator
        has ``fit(scores, y=None)`` and ``threshold_``; those of PyThresh work as well.
    <percentile>
    calibration_fraction : float, default=None
        Share of the images held out of the training for the threshold, in [0, 1). None is 0.2 for
        "conformal" and 0 else. Without it a percentile is only as good as scores of images that
        the network has seen: of new MNIST images about 4 % exceed the 95th percentile after a
        training on 20,000 and 7 % on 5,000, which a share of 0.1 would mend.
    train_on : {"all", "normal", "labels"}, default="all"
        What is made of images that ``y`` calls anomalies: they are trained on as all others; or
        left out; or, where a few images are labelled, learned from. With "normal" set
        ``contamination=0`` as well, if the labels are to be trusted. With "labels" ``y`` is -1 for
        known anomalies, one at least, +1 for known normal images and 0 for all others. Known
        anomalies are left out of the training and correct the score, which then counts log-odds
        (`skvae.scores.Labelled`); known normal images are never trimmed, and are trusted.
    <anomaly_weight>
    max_steps : int or None, default=1500
        Number of batches after which training ends, whatever the number of images.
    max_epochs : int or None, default=None
        Passes through the images after which training ends, if that comes first.
    batch_size : int, default=128
        Images of a step.
    lr : float, default=0.002
        Peak learning rate: it warms up over 20 steps and falls to 1 % along a cosine. A skorch
        ``LRScheduler`` among the callbacks takes the place of that schedule.
    <optimizer>
    early_stopping : bool, default=False
        Whether to hold out ``validation_fraction`` of the images and to stop once their loss has
        not improved for ``patience`` epochs; the best weights are restored, in memory. It can act
        only where ``max_steps`` leaves room for more epochs than that: set ``max_steps=None`` and
        ``max_epochs`` for large sets.
    <validation_fraction>
    <patience>
    <callbacks>
    device : str or torch.device, default="cpu"
        "auto" takes a GPU where there is one.
    n_estimators : int, default=1
        Networks of the ensemble. They differ in initial weights and order of the images, and take
        turns in each step of the training, so ten take ten times the time of one. Their scores,
        calibrated, are averaged. See ``anomaly_score(X, return_std=True)``.
    <random_state>
    warm_start : bool, default=False
        Whether another ``fit`` goes on from the weights of the last; ``history_``
        and ``n_steps_`` are those of the last fit.
    <verbose>

    Attributes
    ----------
    threshold_, offset_ : float
        An image is an anomaly where ``anomaly_score(X) > threshold_``; ``offset_ = -threshold_``.
    calibration_scores_ : ndarray of shape (n_calibration,)
        The anomaly scores that the threshold was fitted on: of held-out images; or of the training
        images, of 10,000 of them at most where no labels are read; or, where ``contamination`` is
        0, of the 5,000 at most that the score was fitted on, each as if it had not been among them.
    calibration_is_held_out_ : bool
        Whether those images were held out of the training, or given to ``set_threshold``.
    history_ : DataFrame
        A row an epoch: epoch, loss, reconstruction, kl, valid_loss (with early stopping) and
        duration in seconds. Losses are in nats an image ("mse": in squared units).
    <latent_dim_>
    <n_steps_>
    <net_>
    error_map_scale_ : tuple of two floats
        Ends of one scale for pictures of error maps, whose channels are summed: the 0.1 % quantile,
        or zero if that is lower, and the 99.9 % quantile of the maps of 100 training images.
    <score_>
    <thresholder_>
    <device_>
    image_preparation_ : dict or None
        How the images of an `ImageFolder` were prepared: ``load_image_folder(path,
        **detector.image_preparation_)`` prepares others as they were. None after arrays.
    n_features_in_ : int
        Numbers an image holds.
    feature_names_in_ : ndarray of str
        Only for flat images with column names that are strings.

    See Also
    --------
    ConvAEDetector : The same without a prior.
    VAEDetector : For tables.

    References
    ----------
    Kingma, Welling (2014), Auto-encoding variational Bayes, arXiv:1312.6114.
    Wang, Bovik, Sheikh, Simoncelli (2004), Image quality assessment: from error visibility to
    structural similarity, IEEE Transactions on Image Processing 13(4).
    Dalal, Triggs (2005), Histograms of oriented gradients for human detection, CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skvae import ConvVAEDetector
    >>> X = load_digits().images / 16  # 1,797 images of 8 x 8
    >>> detector = ConvVAEDetector(max_steps=150, random_state=0).fit(X[:1500])
    >>> noisy = np.clip(X[1500:] + 0.5 * np.random.RandomState(0).randn(297, 8, 8), 0, 1)
    >>> detector.score(np.r_[X[1500:], noisy], np.repeat([1, -1], 297)) > 0.95
    True
    >>> detector.error_map(noisy).shape
    (297, 8, 8)
    """

    _variational = True
    _parameter_constraints: dict = {
        **ImageDetector._parameter_constraints,
        "beta": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        image_shape=None,
        latent_dim=16,
        channels=(16, 32),
        hidden_layer_sizes=(128,),
        norm=None,
        attention=None,
        activation="relu",
        output_activation=None,
        beta=1.0,
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
