"""Do detectors differ over many data sets? Ranks, Friedman's test, Nemenyi's critical difference.

After J. Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7 (2006).
"""

import numpy as np
from scipy.stats import friedmanchisquare, studentized_range

from skvae.studies.report import new_figure


def rank_table(scores):
    """Rank the detectors on each data set.

    Parameters
    ----------
    scores : DataFrame of shape (n_datasets, n_detectors)
        One score per data set and detector, higher = better; NaN where a detector failed.

    Returns
    -------
    ranks : DataFrame of shape (n_datasets, n_detectors)
        1 = best; ties share the mean rank; a failure ranks last.
    """
    return scores.rank(axis=1, ascending=False, na_option="bottom")


def critical_difference(n_detectors, n_datasets, alpha=0.05):
    """Say by how much two mean ranks must differ to be significant (Nemenyi).

    Parameters
    ----------
    n_detectors, n_datasets : int
        How many were compared (at least two detectors), on how many data sets.
    alpha : float, default=0.05
        Probability of any false finding among all pairs.

    Returns
    -------
    difference : float
        The critical difference of mean ranks.

    Examples
    --------
    >>> round(critical_difference(4, 14), 2)  # the example of Demsar (2006)
    1.25
    """
    q = studentized_range.ppf(1 - alpha, n_detectors, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_detectors * (n_detectors + 1) / (6 * n_datasets)))


def friedman_p(scores):
    """Test whether any detector differs (Friedman); NaN where the test cannot be made.

    Parameters
    ----------
    scores : DataFrame of shape (n_datasets, n_detectors)
        As in :func:`rank_table`.

    Returns
    -------
    p : float
        The p-value.
    """
    ranks = rank_table(scores)
    varied = ranks.nunique(axis=1).gt(1).any() if len(ranks) else False
    if ranks.shape[1] < 3 or len(ranks) < 2 or not varied:
        return float("nan")
    return float(friedmanchisquare(*ranks.T.to_numpy()).pvalue)


def draw_ranks(panels):
    """Draw one critical-difference diagram per panel, two side by side.

    Parameters
    ----------
    panels : dict of str to DataFrame
        Title -> scores, as in :func:`rank_table`.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Mean rank of each detector, best on top; bars join detectors that do not differ.
    """
    n_rows = -(-len(panels) // 2)
    most = max(scores.shape[1] for scores in panels.values())
    figure = new_figure(figsize=(13, n_rows * (1.6 + 0.3 * most)))
    axes = figure.subplots(n_rows, 2, squeeze=False).ravel()
    for ax, (title, scores) in zip(axes, panels.items(), strict=False):
        _draw_panel(ax, title, scores)
    for ax in axes[len(panels) :]:
        ax.remove()
    return figure


def _draw_panel(ax, title, scores):
    means = rank_table(scores).mean().sort_values()
    places = np.arange(len(means))
    ax.hlines(places, 1, means, color="0.85")
    ax.plot(means, places, "o", color="C0")
    ax.set_yticks(places, [f"{name}  {rank:.1f}" for name, rank in means.items()])
    ax.invert_yaxis()
    ax.set_xlabel(f"mean rank over {len(scores)} data sets (1 = best)")
    subtitle = ""
    if len(means) > 1 and len(scores) > 1:
        cd = critical_difference(len(means), len(scores))
        for first, last in cliques(means.to_numpy(), cd):
            x = means.iloc[last] + 0.15
            ax.plot([x, x], [first - 0.2, last + 0.2], color="C3", linewidth=3, alpha=0.6)
        subtitle = f"\nFriedman p = {friedman_p(scores):.2g}; red joins ranks closer than {cd:.2f}"
    ax.set_title(title + subtitle)
    ax.spines[["top", "right"]].set_visible(False)


def cliques(means, difference):
    """Find the widest runs of sorted mean ranks that span less than ``difference``.

    Parameters
    ----------
    means : array-like of shape (n_detectors,)
        Mean ranks, ascending.
    difference : float
        The critical difference.

    Returns
    -------
    runs : list of (int, int)
        First and last place of each run of at least two that lies in no other run.

    Examples
    --------
    >>> cliques([1.0, 1.5, 2.4, 4.0], 1.0)
    [(0, 1), (1, 2)]
    """
    runs, reached = [], 0
    for first in range(len(means)):
        last = max(i for i in range(first, len(means)) if means[i] - means[first] < difference)
        if last > max(first, reached):
            runs.append((first, last))
            reached = last
    return runs
