"""The options of ``skvae fit``: the constructors' parameters, by their own names and words."""

import ast
import difflib
import inspect
import re
from typing import Annotated

from sklearn.utils._param_validation import StrOptions

import skvae
from skvae._optional import require

DETECTORS = (
    "VAEDetector",
    "AEDetector",
    "ConvVAEDetector",
    "ConvAEDetector",
    "MixedVAEDetector",
)
SHORT_NAMES = {"mixed": "MixedVAEDetector"}
# Callbacks cannot be typed, and a single fit has nothing to start warm from.
UNTYPED = {"callbacks", "warm_start", "verbose"}
# It holds names of columns, which may be any words.
NAMES = "categorical_features"
# Where the help page shows them; the others belong to the training.
PANELS = {
    "Tables": [NAMES, "max_categories"],
    "Network": (
        "image_shape latent_dim hidden_layer_sizes channels norm activation output_activation "
        "likelihood beta scaler"
    ).split(),
    "Score and threshold": (
        "contamination score threshold percentile calibration_fraction train_on anomaly_weight "
        "n_estimators"
    ).split(),
}


def with_parameters(command):
    """Give a command, whose last parameter is ``**parameters``, an option for each of them.

    The options hold text, or None where nothing was typed: `typed_parameters` reads them.
    """
    own = list(inspect.signature(command).parameters.values())[:-1]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _annotations().items()
    ]
    command.__signature__ = inspect.Signature([*own, *options])
    command.__annotations__ = {each.name: each.annotation for each in [*own, *options]}
    return command


def typed_parameters(detector, texts):
    """Parameters for the constructor of ``detector``, a class, of what was typed.

    Raises
    ------
    ValueError
        If that detector has no such parameter, or a word is none that it takes.
    """
    known = _parameters(detector.__name__)
    typed = {name: text for name, text in texts.items() if text is not None}
    for name in typed:
        if name not in known:
            others = [each for each in DETECTORS if name in _parameters(each)]
            raise ValueError(
                f"{detector.__name__} has no parameter {name}, but {' and '.join(others)} have."
            )
    values = {name: typed_value(text) for name, text in typed.items()}
    for name, value in values.items():
        if name == NAMES and value not in (None, "from_dtype"):
            values[name] = [column.strip() for column in typed[name].split(",")]
        else:
            _check_words(name, value, _choices([detector], name))
    return values


def _check_words(name, value, known):
    """Refuse a misspelt word; what is no word is the detector's to check."""
    words = value if isinstance(value, (list, tuple)) else [value]
    for word in words if known else ():
        if isinstance(word, str) and word not in known:
            raise ValueError(
                f"{_option_name(name, False)} takes {', '.join(known)}; found {word!r}"
                f"{_meant(word, known)}"
            )


def _meant(word, known):
    spelt = {each.lower(): each for each in known}
    close = difflib.get_close_matches(word.lower(), spelt, 1)
    return f"; did you mean {spelt[close[0]]}?" if close else "."


def typed_value(text):
    """A number, a tuple of numbers, a list of words, None, or the text itself.

    Examples
    --------
    >>> [typed_value(text) for text in ("8", "1e-3", "64,32", "none", "f1", "density,neighbors")]
    [8, 0.001, (64, 32), None, 'f1', ['density', 'neighbors']]
    """
    if not isinstance(text, str):
        return text
    if text.lower() == "none":
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = None
    if _is_number(value) or (isinstance(value, (tuple, list)) and all(map(_is_number, value))):
        return value
    return [word.strip() for word in text.split(",")] if "," in text else text


def _is_number(value):
    return isinstance(value, (int, float))


def detector_class(name):
    """The class of that name, in any case of its letters."""
    name = SHORT_NAMES.get(name.lower(), name)
    for each in DETECTORS:
        if each.lower() == name.lower():
            return getattr(skvae, each)
    raise ValueError(
        f"detector must be one of {', '.join(DETECTORS)}; found {name!r}{_meant(name, DETECTORS)}"
    )


def _parameters(class_name):
    return inspect.signature(getattr(skvae, class_name)).parameters


def _annotations():
    """Type and option of each parameter of any detector."""
    typer = require("typer", extra="cli", what="The command line")
    found = {}
    for class_name in DETECTORS:
        for name in _parameters(class_name):
            found.setdefault(name, []).append(getattr(skvae, class_name))
    annotations = {}
    for name, classes in found.items():
        if name in UNTYPED:
            continue
        is_flag = classes[0]._parameter_constraints[name] == ["boolean"]
        words = _choices(classes, name)
        option = typer.Option(
            _option_name(name, is_flag),
            help=_help(classes, name, words),
            metavar=None if is_flag else "VALUE",
            show_default=False,
            rich_help_panel=_panel(name),
            autocompletion=words.copy if words else None,
        )
        annotations[name] = Annotated[bool | None if is_flag else str | None, option]
    return annotations


def _panel(name):
    return next((panel for panel, names in PANELS.items() if name in names), "Training")


def _option_name(name, is_flag):
    name = name.replace("_", "-")
    return f"--{name}/--no-{name}" if is_flag else f"--{name}"


def _choices(classes, name):
    """Words that the parameter may be, sorted."""
    constraints = [each for one in classes for each in one._parameter_constraints[name]]
    words = (each.options for each in constraints if isinstance(each, StrOptions))
    return sorted({word for options in words for word in options})


def _help(classes, name, words):
    parts = [_first_sentence(classes[0], name) or f"{name.replace('_', ' ').capitalize()}."]
    if words:
        parts.append(f"Words: {', '.join(words)}.")
    parts.append(f"({_defaults(classes, name)})")
    # Brackets are markup of the help page.
    return " ".join(part for part in parts if part).replace("[", r"\[")


def _defaults(classes, name):
    """The default, and that of the detectors of images where it is another."""
    of_class = {one: inspect.signature(one).parameters[name].default for one in classes}
    tables = {typed(of) for one, of in of_class.items() if not one._takes_images}
    images = {typed(of) for one, of in of_class.items() if one._takes_images}
    if not tables or not images or tables == images:
        only = "" if tables and images else ("images alone, " if images else "tables alone, ")
        return f"{only}default: {' or '.join(sorted(tables | images))}"
    return f"default: {' or '.join(sorted(tables))}; of images: {' or '.join(sorted(images))}"


def typed(value):
    """A value as it is typed.

    Examples
    --------
    >>> typed((64, 32)), typed(("density", "neighbors")), typed(None), typed(0.003)
    ('64,32', 'density,neighbors', 'none', '0.003')
    """
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value)) + ("," if len(value) == 1 else "")
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _first_sentence(detector, name):
    """What the class says of a parameter first."""
    lines = inspect.getdoc(detector) or ""  # python -OO has none
    entry = re.search(rf"^{name} : .*(?:\\\n.*)*\n((?:    .*\n|\n(?=    ))+)", lines, re.MULTILINE)
    if not entry:
        return ""
    text = re.sub(r":\w+:`~?([^`]+)`", r"\1", " ".join(entry[1].split())).replace("``", "")
    sentence = re.match(r".+?[.:](?=\s|$)", text)
    return (sentence[0] if sentence else text).replace(":", ".")
