"""One image file as an array of a given size and colour, or the reason why it is none."""

import operator
import os
import re
import stat
import threading
from contextlib import nullcontext

import numpy as np

from skvae._optional import require

# Raster formats alone: pillow would hand some others, such as EPS, to a program outside.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
MODES = {"grey": "L", "rgb": "RGB"}
MAX_PIXELS = 1 << 26
# Of larger images one is decoded at a time, whatever the number of workers: each takes some bytes
# a pixel.
LARGE_PIXELS = 1 << 23
_one_large_image = threading.Lock()
_one_import = threading.Lock()
# A JPEG may go over its pixels again and again, at a few bytes a scan, and each takes time.
# Encoders make about ten; libtiff has the same bound (tif_jpeg.c,
# LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER).
MAX_SCANS = 100
# Of the EXIF tag 0x0112: what brings a picture upright (Exif 2.32, section 4.6.4).
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
ORIENTATION = 0x0112


class BadImage(ValueError):
    """A file that is no image that can be used; the message is the reason."""


def load_image(file, size=(224, 224), color="grey"):
    """Read one image file, prepared as `load_image_folder` prepares those of a folder.

    Parameters
    ----------
    file : str, path-like or binary file
        The image; the formats are those of `load_image_folder`.
    size : int or (height, width), default=(224, 224)
        In pixels; one number stands for both.
    color : {"grey", "rgb"}, default="grey"
        What the channels hold.

    Returns
    -------
    image : ndarray of shape (channels, height, width), uint8
        One channel of grey, or three of red, green and blue.

    Raises
    ------
    ValueError
        If the file is no image that can be used; the message says why.

    See Also
    --------
    load_image_folder : All images of a folder.
    skvae.reports.judge_image : Judges an image file.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from skvae.datasets import load_image
    >>> file = io.BytesIO()
    >>> Image.new("L", (60, 40), 200).save(file, "PNG")
    >>> image = load_image(file, size=(20, 30))
    >>> image.shape, int(image.max())
    ((1, 20, 30), 200)
    """
    size, color = check_preparation(size, color)
    return decoded(file, size, color)


def check_preparation(size, color):
    """Return (height, width) and colour, or say what is wrong with them."""
    try:
        sides = (size, size) if np.ndim(size) == 0 else tuple(size)
        # True is an index, but no number of pixels.
        height, width = (0 if isinstance(n, bool) else operator.index(n) for n in sides)
        size = height, width
    except (TypeError, ValueError):
        size = 0, 0
    if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise ValueError(
            "size must be the height and width of an image in pixels, such as (224, 224), or one "
            f"number for both, and {MAX_PIXELS:,} pixels at most."
        )
    if not isinstance(color, str) or color not in MODES:
        raise ValueError(f"color must be 'grey' or 'rgb'; found {color!r}.")
    return size, color


def decoded(file, size, color):
    """Image of shape (channels, height, width), uint8; `BadImage` says why there is none."""
    Image = require("PIL.Image", extra="images", what="Reading image files")
    with _one_import:  # of the formats, which two threads would do at once
        Image.init()
    try:
        if isinstance(file, (str, os.PathLike)):
            _check_is_file(file)
        with Image.open(file, formats=FORMATS) as image:
            return np.ascontiguousarray(_prepared(image, size, color))
    except BadImage:
        raise
    except Image.UnidentifiedImageError:
        raise BadImage("not an image of a known format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage(_too_large("the image has more than") + " pixels") from None
    except FileNotFoundError:
        raise BadImage("the file is gone") from None
    # A decoder that meets broken data may raise anything, and one file must not stop the others.
    except Exception as error:
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BadImage(f"cannot be decoded: {' '.join(words.split())}") from error


def _check_is_file(path):
    found = os.stat(path)
    # To open a pipe would wait for ever.
    if not stat.S_ISREG(found.st_mode):
        raise BadImage("not a regular file")
    if found.st_size == 0:
        raise BadImage("the file is empty")


def _too_large(what):
    return f"{what} {MAX_PIXELS:,}"


def _prepared(image, size, color):
    n_pixels = image.width * image.height
    if n_pixels > MAX_PIXELS:
        what = f"{image.width:,} x {image.height:,} pixels are more than"
        raise BadImage(_too_large(what))
    if image.format in ("JPEG", "MPO"):
        _check_scans(image.fp)
    with _one_large_image if n_pixels > LARGE_PIXELS else nullcontext():
        _shorten_transparent_color(image)
        # A JPEG can be decoded at half, a quarter or an eighth of its size; no side gets smaller
        # than twice of what is wanted, so that the filter below still has something to average.
        image.draft(None, (2 * max(size), 2 * max(size)))
        pixels = np.asarray(
            _resized(_in_color(_eight_bit(_upright(image)), MODES[color], size), size)
        )
        image.close()  # its memory is free before the next large one takes some
    return pixels[None] if color == "grey" else np.moveaxis(pixels, 2, 0)


# A marker in a JPEG (ITU-T T.81, annex B) that is followed by the length of its segment, or ends
# the image: not a stuffed byte, fill byte or one that stands alone (TEM, RST0 to RST7, SOI).
MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
END_OF_IMAGE, START_OF_SCAN = b"\xff\xd9", b"\xff\xda"
BYTES_OF_MARKERS = 1024


def _check_scans(file):
    """Refuse a JPEG of very many scans; nothing is decoded, and segments are passed over."""
    n_scans, at = 0, 2
    while n_scans <= MAX_SCANS:
        file.seek(at)
        part = file.read(BYTES_OF_MARKERS)
        marker = MARKER.search(part, 0, max(len(part) - 2, 0))
        if marker is None:
            if len(part) < BYTES_OF_MARKERS:
                return
            at += len(part) - 3  # where a marker with its length may begin
            continue
        if marker[0] == END_OF_IMAGE:
            return
        n_scans += marker[0] == START_OF_SCAN
        at += marker.end() + int.from_bytes(part[marker.end() : marker.end() + 2], "big")
    raise BadImage(f"a JPEG of more than {MAX_SCANS} scans")


def _resized(image, size):
    """The image with (height, width) pixels, each a weighted mean of those it covers."""
    height, width = size
    resampling = require("PIL.Image", extra="images").Resampling
    # The filter is as wide as a new pixel, so that none of the old ones is skipped.
    return image.resize((width, height), resampling.BILINEAR, reducing_gap=3.0)


def _upright(image):
    """The image as its EXIF orientation says that it is to be looked at."""
    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:  # broken metadata do not make the pixels worse
        orientation = None
    if orientation not in UPRIGHT:
        return image
    Image = require("PIL.Image", extra="images")
    return image.transpose(Image.Transpose[UPRIGHT[orientation]])


def _shorten_transparent_color(image):
    """Of RGB of 16 bits pillow keeps the upper 8, but of the colour that is transparent all 16."""
    color = image.info.get("transparency")
    if isinstance(color, tuple) and any("16" in str(tile[3]) for tile in image.tile):
        image.info["transparency"] = tuple(value >> 8 for value in color)


def _eight_bit(image):
    """Images of 16 bits and of floats in [0, 1] as images of 8 bits; others as they are."""
    if not image.mode.startswith(("I", "F")):
        return image
    Image = require("PIL.Image", extra="images")
    pixels = np.asarray(image)
    low, high = pixels.min(), pixels.max()
    most = 1 if image.mode.startswith("F") else 65535
    if not (0 <= low and high <= most):  # true for NaN as well
        raise BadImage(f"{image.mode} pixels from {low:g} to {high:g}: expected 0 to {most}")
    # Rows at a time, so that the floats between take little memory.
    eight = np.empty(pixels.shape, np.uint8)
    for row, values in zip(eight, pixels, strict=True):
        row[:] = np.rint(values * (255 / most))
    transparent = image.info.get("transparency")
    if transparent is None:
        return Image.fromarray(eight)
    opaque = np.where(pixels == transparent, np.uint8(0), np.uint8(255))
    return Image.merge("LA", [Image.fromarray(eight), Image.fromarray(opaque)])


def _in_color(image, mode, size):
    """The image in ``mode``; what is transparent shows white, as on a page."""
    if image.mode == "LAB":  # pillow converts it to no other
        image = image.convert("RGB")
    if not image.has_transparency_data:
        return image.convert(mode)
    Image = require("PIL.Image", extra="images")
    # Resized first, by pixels that count as much as they are opaque; and it takes less memory.
    image = _resized(image if image.mode == "RGBA" else image.convert("RGBA"), size)
    page = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(page, image).convert(mode)
