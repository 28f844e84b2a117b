"""The public names: the list from which the pages of the API are made."""

# Module: (words below its docstring, {heading: names}).
API = {
    "skvae": (
        "Signs and labels are scikit-learn's: higher ``score_samples`` is more normal, ``predict`` "
        "gives -1 for an anomaly. ``anomaly_score`` is ``-score_samples``: higher is more "
        "anomalous. Which class to take: :ref:`guide_choosing`.",
        {
            "Tables": [
                "VAEDetector",
                "AEDetector",
                "MixedVAEDetector",
                "ConditionalVAEDetector",
                "HierarchicalVAEDetector",
                "VQVAEDetector",
                "AdversarialAEDetector",
                "DenoisingAEDetector",
            ],
            "Images": ["ConvVAEDetector", "ConvAEDetector", "ConvVQVAEDetector", "WindowDetector"],
            "Time series": ["SlidingWindowDetector", "Conv1dVAEDetector"],
            "Several parts, and naming what was found": [
                "FusionDetector",
                "ScreenThenClassify",
                "CNNClassifier",
            ],
            "Files": ["save", "load", "fit_in_folder"],
        },
    ),
    "skvae.thresholds": (
        "Small estimators on scores. ``threshold=`` of a detector takes their names in small "
        "letters or an instance. What each promises: :ref:`guide_thresholds`.",
        {"": ["Percentile", "F1", "Conformal", "Fixed"]},
    ),
    "skvae.metrics": (
        "Which to use: :ref:`guide_model_selection`.",
        {
            "Scorers with labels": ["roc_auc", "average_precision", "f1"],
            "Scorers without labels": ["held_out_likelihood", "pool_auc", "stability"],
            "Error maps against masks": ["pixel_roc_auc", "pixel_average_precision", "aupro"],
            "Labels": ["anomaly_labels", "two_class_labels", "known_labels", "is_of_few"],
        },
    ),
    "skvae.model_selection": (
        "How to search: :ref:`guide_model_selection`.",
        {"": ["StackedGridSearchCV", "StackedRandomizedSearchCV"]},
    ),
    "skvae.drift": ("How to read it: :ref:`guide_drift`.", {"": ["DriftMonitor", "DriftResult"]}),
    "skvae.plotting": (
        'Displays hold the arrays they draw. They need ``pip install "skvae[plot]"``. '
        "How far to believe them: :ref:`guide_explanations`.",
        {
            "": [
                "ScoreHistogramDisplay",
                "TrainingHistoryDisplay",
                "LatentSpaceDisplay",
                "ErrorMapDisplay",
                "ImageErrorMapDisplay",
                "ReconstructionDisplay",
                "DriftDisplay",
            ]
        },
    ),
    "skvae.reports": (
        "In use: :ref:`guide_explanations`.",
        {"": ["write_report", "judge_image"]},
    ),
    "skvae.datasets": (
        "",
        {
            "Made": ["make_blobs_with_anomalies", "make_time_series", "render_plots"],
            "Images": [
                "load_digits_images",
                "fetch_mnist",
                "load_image",
                "load_image_folder",
                "ImageFolder",
            ],
            "Tables": ["load_table", "load_adbench", "iter_adbench"],
            "The data home": ["get_data_home"],
        },
    ),
    "skvae.corruptions": (
        "What they tell of a detector: :ref:`guide_images`.",
        {
            "": [
                "gaussian_noise",
                "noise_patch",
                "patch_occlusion",
                "pixel_dropout",
                "rotation",
                "stripes",
                "label_shift",
            ]
        },
    ),
    "skvae.interop.pyod": (
        'Needs ``pip install "skvae[pyod]"``. In use: :ref:`guide_coming_from`.',
        {"": ["FromPyOD", "ToPyOD"]},
    ),
    "skvae.studies": (
        "What ``skvae study`` runs: comparisons that return a table and can write a report. "
        "What came of them: :doc:`/benchmarks`.",
        {
            "": [
                "blobs",
                "adbench",
                "selection",
                "shift",
                "robustness",
                "oneclass",
                "plots",
                "brain",
                "families",
                "blobs_summary",
                "adbench_summary",
                "selection_summary",
                "families_summary",
            ]
        },
    ),
    "skvae.app": (
        'Needs ``pip install "skvae[app]"``. In use: :ref:`guide_deployment`.',
        {"": ["run_app"]},
    ),
}
