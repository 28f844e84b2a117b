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
    "sklearn.preprocessing.StandardScaler",
    "sklearn.metrics.RocCurveDisplay",
    "sklearn.metrics.PrecisionRecallDisplay",
]
SITES = {
    "sklearn": (
        "https://scikit-learn.org/stable/",
        _pages("py:class", "modules/generated/{}.html", SKLEARN),
    ),
}
