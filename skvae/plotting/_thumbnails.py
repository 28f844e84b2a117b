"""Small images at some points of a picture, none over another."""

import numpy as np


def draw_thumbnails(ax, points, images, colors, size):
    """Draw the images of some points, centred on them, in frames of the colour of the point.

    Both axes get the same scale, so that images keep their shape.

    Parameters
    ----------
    ax : matplotlib Axes
    points : ndarray of shape (n, 2)
    images : ndarray of shape (n, H, W) or (n, H, W, 4)
        Grey or RGBA, in [0, 1].
    colors : sequence of n colours
    size : float
        Longer side of a thumbnail, as a share of the wider range of the points.

    Returns
    -------
    thumbnails : dict of int to matplotlib AxesImage
        By the position of the image.
    """
    from matplotlib.image import AxesImage
    from matplotlib.patches import Rectangle

    low, high = points.min(axis=0), points.max(axis=0)
    longest = size * (np.max(high - low) or 1.0)
    height, width = images.shape[1:3]
    sides = longest * np.array([width, height]) / max(width, height)
    ax.set_aspect("equal", adjustable="datalim")
    ax.update_datalim([low - sides, high + sides])
    ax.autoscale_view()
    thumbnails = {}
    for i in _spread(points / sides, 1.1):  # a tenth of a thumbnail between two
        (left, bottom), (right, top) = points[i] - sides / 2, points[i] + sides / 2
        # ax.imshow would set the limits of the axes to those of its image.
        thumbnail = AxesImage(
            ax,
            cmap="gray",
            extent=(left, right, bottom, top),
            origin="upper",
            interpolation="nearest",
            zorder=3,
        )
        thumbnail.set_data(images[i])
        thumbnail.set_clim(0, 1)
        thumbnails[i] = ax.add_image(thumbnail)
        thumbnail.set_clip_path(ax.patch)
        frame = {"facecolor": "none", "edgecolor": colors[i], "linewidth": 1.5, "zorder": 3}
        ax.add_patch(Rectangle((left, bottom), *sides, **frame))
    return thumbnails


def _spread(points, distance):
    """Positions of points at least ``distance`` apart along x or y: always the farthest next."""
    i = int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))
    nearest = np.full(len(points), np.inf)
    chosen = []
    while nearest[i] >= distance:
        chosen.append(i)
        nearest = np.minimum(nearest, np.abs(points - points[i]).max(axis=1))
        i = int(np.argmax(nearest))
    return chosen
