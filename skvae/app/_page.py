"""The page: what stands where. Streamlit runs this file again from the top after every click."""

import re
import sys
from pathlib import Path

from skvae._optional import require
from skvae.app import _figures, _judge, _uploads
from skvae.reports._explained import features_of
from skvae.reports._judged import map_caveat

st = require("streamlit", extra="app", what="The app")

_UPLOAD = "Upload a model"
_INTRODUCTION = """
A model that has learnt what is normal looks at images, or at the rows of a table, and says which
are not.

1. On the left, choose a **model**: a file that `skvae fit` or `skvae.save` wrote.
2. Upload the **images**, or the **table**, that it shall judge.
3. Look at each of them: how anomalous it is, where, and among which others.
4. Move the **threshold**, and download the results.

Files stay on this machine, and are forgotten when the page is closed.
"""
_UNKNOWN_PREPARATION = (
    "The model was trained on arrays and does not know how they were made from files: here images "
    "are resized and brought to its colours, and nothing else is done to them."
)
_PANELS_IN_WORDS = (
    "The error map shows where the image is unlike what the model makes of it, and the overlay "
    "shows it over the darkened image. Their colours mean the same for every image of this model."
)
_SHOWN_PROBLEMS = 5
_WORST_FEATURES = 15


def page(models=None):
    """Draw the page; ``models`` is a folder of models to choose from."""
    st.set_page_config(page_title="skvae", layout="wide")
    st.title("Find anomalies")
    with st.sidebar:
        detector, model_key = choose_model(models)
        threshold = None if detector is None else choose_threshold(detector, model_key)
    if detector is None:
        st.markdown(_INTRODUCTION)
        return
    judged = upload_samples(detector, model_key)
    if judged is None:
        return
    show_problems(judged.samples)
    if judged.samples.names:
        show_summary(judged, threshold)
        show_sample(detector, judged, choose_sample(judged), threshold)
    if judged.samples.names or judged.samples.problems:
        offer_download(judged, threshold)


# -- the side bar ------------------------------------------------------------------------------


def choose_model(folder):
    """The chosen detector and what tells it from others; None twice as long as there is none."""
    st.header("Model")
    paths = [] if folder is None else sorted(Path(folder).glob("*.safetensors"))
    names = {path.name: path for path in paths if path.is_file()}
    choice = (
        st.selectbox("Model", [*names, _UPLOAD], label_visibility="collapsed") if names else _UPLOAD
    )
    if choice != _UPLOAD:
        path = names[choice]
        key = (str(path), path.stat().st_mtime_ns)
        return loaded(key, lambda: _uploads.load_model(path, choice))
    file = st.file_uploader("A .safetensors file", type=["safetensors"])
    if file is None:
        return None, None
    return loaded(file.file_id, lambda: _uploads.load_uploaded_model(file))


def loaded(key, load):
    """Load a model, once, and describe it; or say why it cannot be used."""
    try:
        detector = kept("model", key, load)
        st.caption(description(detector))
        return detector, key
    except ValueError as error:
        st.error(plain(error))
        return None, None


def description(detector):
    shape = _uploads.image_shape(detector)
    if shape is None:
        takes = f"rows of {detector.n_features_in_} columns"
    else:
        color = {1: "grey", 3: "RGB"}.get(shape[0], f"{shape[0]} channels")
        takes = f"images of {shape[1]} x {shape[2]} pixels, {color}"
    return f"{type(detector).__name__} for {takes}"


def choose_threshold(detector, model_key):
    st.header("Threshold")
    low, high = _judge.score_axis(detector)
    own = min(max(detector.threshold_, low), high)
    key = f"threshold of {model_key}"
    threshold = st.slider(
        "Scores above it are anomalies",
        low,
        high,
        own,
        step=(high - low) / 1000,
        format="%.4g",
        key=key,
    )
    share = (detector.calibration_scores_ > threshold).mean()
    st.caption(f"{share:.1%} of the {_judge.scored(detector)} are above.")
    if own != detector.threshold_:
        st.caption(f"The model's own is {detector.threshold_:.4g}, beyond this end of the slider.")

    def back():
        st.session_state[key] = own

    st.button(f"Back to the model's ({own:.4g})", on_click=back)
    return threshold


# -- uploads -----------------------------------------------------------------------------------


def upload_samples(detector, model_key):
    """What is uploaded, scored and encoded once; None as long as nothing is."""
    if _uploads.image_shape(detector) is None:
        file = st.file_uploader("A table: CSV or Parquet", type=_uploads.TABLE_TYPES)
        files, read = [file] if file else [], _uploads.read_table
    else:
        files = st.file_uploader("Images", type=_uploads.IMAGE_TYPES, accept_multiple_files=True)
        read = _uploads.read_images
        if detector.image_preparation_ is None:
            st.caption(_UNKNOWN_PREPARATION)
    if not files:
        st.info("Now upload what the model shall judge. It stays on this machine.")
        return None

    def judge():
        with st.spinner("Reading and scoring"):
            return _judge.judge(detector, read(detector, files))

    try:
        return kept("judged", (model_key, [file.file_id for file in files]), judge)
    except ValueError as error:  # such as numbers too large for the network
        st.error(plain(f"{files[0].name}: {error}"))
        return None


def show_problems(samples):
    problems = samples.problems
    if not problems:
        return
    lines = [
        f"- {plain(samples.label(name))}: {plain(reason)}"
        for name, reason in problems[:_SHOWN_PROBLEMS]
    ]
    if len(problems) > _SHOWN_PROBLEMS:
        lines.append(f"- and {len(problems) - _SHOWN_PROBLEMS:,} more, which the results name")
    st.error("\n".join([f"**Not judged: {len(problems):,}**", "", *lines]))


# -- results -----------------------------------------------------------------------------------


def show_summary(judged, threshold):
    columns = st.columns(3)
    columns[0].metric("Judged", f"{len(judged.scores):,}")
    columns[1].metric("Anomalies", f"{(judged.scores > threshold).sum():,}")
    columns[2].metric("Not judged", f"{len(judged.samples.problems):,}")


def choose_sample(judged):
    """Position of the sample to look at; the most anomalous one stands first."""
    labels = judged.labels
    order = (-judged.scores).argsort(kind="stable").tolist()
    return st.selectbox(
        "Look at (the most anomalous first)",
        order,
        format_func=lambda i: f"{labels[i]} (score {judged.scores[i]:.4g})",
    )


def show_sample(detector, judged, chosen, threshold):
    score = judged.scores[chosen]
    below = _judge.rarity(detector.calibration_scores_, score)
    text = (
        f"{plain(judged.labels[chosen])}: score {score:.4g}, threshold {threshold:.4g}. "
        f"Of the {_judge.scored(detector)}, {below:.1f} % score lower."
    )
    if score > threshold:
        st.warning(f"**Anomaly.** {text}", icon=":material/warning:")
    else:
        st.success(f"**Normal.** {text}", icon=":material/check_circle:")
    if _uploads.image_shape(detector) is None:
        show_row(detector, judged, chosen, threshold)
    else:
        show_heading("Where", map_caveat(detector, "image"))
        st.pyplot(_figures.image_panels(detector, judged.samples.X[chosen]))
        st.caption(_PANELS_IN_WORDS)
    left, right = st.columns(2)
    with left:
        st.subheader("Scores")
        st.plotly_chart(_figures.score_histogram(detector, judged, chosen, threshold))
    with right:
        show_latents(detector, judged, chosen, threshold)


def show_heading(title, caveat):
    st.subheader("The reconstruction" if caveat else title)
    if caveat:
        st.info(caveat)


def show_row(detector, judged, chosen, threshold):
    show_heading("Which columns", map_caveat(detector, "row"))
    (features,) = features_of(detector, judged.samples.X.iloc[[chosen]])
    left, right = st.columns(2)
    is_anomaly = judged.scores[chosen] > threshold
    left.plotly_chart(_figures.feature_bars(features[:_WORST_FEATURES], is_anomaly))
    right.dataframe(features, hide_index=True)


def show_latents(detector, judged, chosen, threshold):
    st.subheader("Latent space")
    training = _judge.kept_latents(detector.score_)
    places = _judge.latent_map(judged.latents, training)
    if places is None:
        st.info("A map of the latents needs at least 3 samples that differ: upload more.")
        return
    chart = st.empty()  # stands above the choice of its dimensions
    choices = ["2-D", "3-D"][: len(places.shares) - 1]
    # A choice of its own for each number of choices: models may have 2 latents.
    key = f"view of {len(choices)}"
    view = st.radio("View", choices, horizontal=True, key=key, label_visibility="collapsed")
    n_dimensions = 3 if view == "3-D" else 2
    chart.plotly_chart(_figures.latent_scatter(judged, chosen, places, threshold, n_dimensions))
    of = "training samples, which the model keeps" if training is not None else "what is uploaded"
    shares = " + ".join(f"{share:.0%}" for share in places.shares[:n_dimensions])
    st.caption(f"Principal components of the latents of {of}: {shares} of their variance.")


def offer_download(judged, threshold):
    table = _judge.results_table(judged, threshold)
    st.subheader("All results")
    st.dataframe(table, hide_index=True)
    st.download_button(
        "Download the results", table.to_csv(index=False).encode(), "predictions.csv", "text/csv"
    )


# -- helpers -----------------------------------------------------------------------------------


def kept(name, key, make):
    """What ``make`` returned for this key, in this session; made anew for another one."""
    if name not in st.session_state or st.session_state[name][0] != key:
        st.session_state[name] = key, make()
    return st.session_state[name][1]


def plain(text):
    """Text as it is, on one line: file names come from anywhere, and Streamlit reads Markdown."""
    one_line = " ".join(str(text).split())
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", one_line)


if __name__ == "__main__":
    page(*sys.argv[1:])
