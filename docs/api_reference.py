"""The public names: the list from which the pages of the API are made."""

# Module: (words below its docstring, {heading: names}).
API = {
    "skvae": (
        "Signs and labels are scikit-learn's: higher ``score_samples`` is more normal, ``predict`` "
        "gives -1 for an anomaly. ``anomaly_score`` is the negative score.",
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
        "letters or an instance.",
        {"": ["Percentile", "F1", "Conformal", "Fixed"]},
    ),
    "skvae.metrics": (
        "",
        {
            "Scorers with labels": ["roc_auc", "average_precision", "f1"],
            "Scorers without labels": ["held_out_likelihood", "pool_auc", "stability"],
            "Error maps against masks": ["pixel_roc_auc", "pixel_average_precision", "aupro"],
            "Labels": ["anomaly_labels", "two_class_labels", "known_labels", "is_of_few"],
        },
    ),
    "skvae.model_selection": (
        "",
        {"": ["StackedGridSearchCV", "StackedRandomizedSearchCV"]},
    ),
    "skvae.drift": ("", {"": ["DriftMonitor", "DriftResult"]}),
    "skvae.plotting": (
        'Displays hold the arrays they draw. They need ``pip install "skvae[plot]"``.',
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
    "skvae.reports": ("", {"": ["write_report", "judge_image"]}),
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
        "",
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
        'Needs ``pip install "skvae[pyod]"``.',
        {"": ["FromPyOD", "ToPyOD"]},
    ),
    "skvae.studies": (
        "What ``skvae study`` runs: comparisons that return a table and can write a report.",
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
    "skvae.app": ('Needs ``pip install "skvae[app]"``.', {"": ["run_app"]}),
}
