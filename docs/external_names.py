"""Names in the documentation of others that ours points at, and where they stand there."""


def _pages(role, template, names):
    return [(name, role, template.format(name)) for name in names]


SKLEARN = [
    "sklearn.pipeline.Pipeline",
    "sklearn.model_selection.GridSearchCV",
    "sklearn.model_selection.RandomizedSearchCV",
    "sklearn.model_selection.StratifiedKFold",
    "sklearn.compose.ColumnTransformer",
    "sklearn.ensemble.IsolationForest",
    "sklearn.preprocessing.MinMaxScaler",
    "sklearn.preprocessing.RobustScaler",
    "sklearn.preprocessing.StandardScaler",
    "sklearn.metrics.RocCurveDisplay",
    "sklearn.metrics.PrecisionRecallDisplay",
    "sklearn.mixture.GaussianMixture",
    "sklearn.utils.Bunch",
]
FUNCTIONS = [
    "sklearn.datasets.make_blobs",
    "sklearn.metrics.average_precision_score",
    "sklearn.metrics.f1_score",
    "sklearn.metrics.roc_auc_score",
    "sklearn.set_config",
]
# What docstrings that scikit-learn's classes pass on point at.
LABELS = [
    ("metadata_routing", "std:label", "metadata_routing.html#metadata-routing"),
    ("df_output_transform", "std:label", "modules/df_output_transform.html#df-output-transform"),
    ("accuracy_score", "std:label", "modules/model_evaluation.html#accuracy-score"),
    (
        "sphx_glr_auto_examples_miscellaneous_plot_set_output.py",
        "std:label",
        "auto_examples/miscellaneous/plot_set_output.html",
    ),
    *_pages("std:term", "glossary.html#term-{}", ["classes_", "fit", "meta-estimator"]),
]
SITES = {
    "sklearn": (
        "https://scikit-learn.org/stable/",
        [
            *_pages("py:class", "modules/generated/{}.html", SKLEARN),
            *_pages("py:function", "modules/generated/{}.html", FUNCTIONS),
            *LABELS,
        ],
    ),
}
