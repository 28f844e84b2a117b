"""What the pages and pictures of the image studies share."""

import numpy as np


def mosaic(rows, gap=1):
    """Lay images side by side.

    Parameters
    ----------
    rows : array-like of shape (n_rows, n_columns, H, W)
        In [0, 1].
    gap : int, default=1
        Pixels of NaN between two images; they stand at the right and lower end of each.

    Returns
    -------
    picture : ndarray of shape (n_rows * (H + gap), n_columns * (W + gap))
    """
    rows = np.pad(
        np.asarray(rows, dtype=float), [(0, 0), (0, 0), (0, gap), (0, gap)], constant_values=np.nan
    )
    n_rows, n_columns, height, width = rows.shape
    return rows.transpose(0, 2, 1, 3).reshape(n_rows * height, n_columns * width)


def show_mosaic(ax, rows, cmap="gray"):
    """Draw images side by side, black to white for 0 to 1, on a ground that no image has."""
    ax.imshow(mosaic(rows), cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    ax.set_facecolor("cornflowerblue")
    ax.set_xticks([])


def cells(ax, table, title):
    """Draw a DataFrame of shares as coloured cells with their values."""
    ax.imshow(table, aspect="auto", cmap="cividis", vmin=0.3, vmax=1)
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        text = "-" if value != value else f"{value:.3f}"
        color = "white" if value < 0.65 else "black"
        ax.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    ax.set_yticks(range(len(table)), table.index)
    ax.set_xticks(range(table.shape[1]), table.columns, fontsize=8)
    ax.set_title(title)


def what_was_run(settings, seeds, minutes):
    """Say in a paragraph what data a report is about, and what it took."""
    what = (
        "Quick run on scikit-learn's 1,797 digits of 8 x 8 pixels, with short trainings: it shows "
        "that all works, its figures mean little"
        if settings["quick"]
        else "MNIST: training images of the training file, test images of the official test file"
    )
    wall, cpu = minutes
    # A study that trains on what there is has no number of its own.
    n_train = f"{settings['n_train']:,} training images, " if settings["n_train"] else ""
    return (
        f"{what}. {n_train}{settings['n_test']:,} test images, "
        f"{'seed' if len(seeds) == 1 else 'means over the seeds'} "
        f"{', '.join(str(seed) for seed in seeds)}. The pieces took {wall:.1f} minutes "
        f"({cpu:.1f} CPU minutes) in all. Nothing was chosen by test images.\n"
    )
