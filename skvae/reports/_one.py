"""One image: anomaly or not, by which score, and a picture that shows why."""

import os

import numpy as np

from skvae._files import write_bytes
from skvae.datasets import load_image
from skvae.reports._pictures import image_pictures


def judge_image(detector, image, picture=None):
    """Judge one image.

    Parameters
    ----------
    detector : fitted detector of images
        One of skvae.
    image : str, path-like, binary file or ndarray
        An image file, prepared as the images of the training were; or an array of the shape of one
        of them.
    picture : str or path-like, default=None
        PNG file to write: original, reconstruction, their difference, the error map and the error
        map over the original, in a colour scale that is the same for every image of a detector.

    Returns
    -------
    is_anomaly : bool
        Whether the error is above ``detector.threshold_``.
    error : float
        The anomaly score, higher = more anomalous.

    Raises
    ------
    OSError
        If the picture cannot be written.
    ValueError
        If the image cannot be read, or is no image like those of the training.

    See Also
    --------
    write_report : Judges many images or rows.
    skvae.plotting.ImageErrorMapDisplay : The pictures alone.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import ConvVAEDetector
    >>> from skvae.reports import judge_image
    >>> images = np.random.default_rng(0).random((50, 8, 8)) / 4
    >>> detector = ConvVAEDetector(max_steps=20, random_state=0).fit(images)
    >>> is_anomaly, error = judge_image(detector, 1 - images[0])
    >>> is_anomaly, error > detector.threshold_
    (True, True)
    """
    name = None
    if isinstance(image, (str, os.PathLike)) or hasattr(image, "read"):
        name = os.path.basename(str(image)) if isinstance(image, (str, os.PathLike)) else None
        image = read_image(detector, image)
    images = np.asarray(image)[None]
    error = float(detector.anomaly_score(images)[0])
    if picture is not None:
        whole, _, _ = next(image_pictures(detector, images, [name or "image"]))
        write_bytes(picture, whole)
    return error > detector.threshold_, error


def read_image(detector, file):
    """One image file, prepared as the images that the detector was trained on."""
    preparation = getattr(detector, "image_preparation_", None)
    if preparation is None:
        raise ValueError(
            f"This {type(detector).__name__} was not trained on image files, so how to prepare "
            f"{file} is not known: pass an array like those of the training."
        )
    try:
        return load_image(file, **preparation)
    except ValueError as error:
        raise ValueError(f"{file} cannot be used: {error}") from error
