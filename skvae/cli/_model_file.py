"""Files that commands write, and the model file that they read."""

import os

SUFFIX = ".safetensors"


def model_path(path):
    """The file to write: with the usual ending where none is given."""
    return path if path.suffix or not path.name else path.with_name(path.name + SUFFIX)


def existing_model(path):
    """The file to read: the ending may be left out."""
    return path if path.is_file() else model_path(path)


def check_writable(path, what, suffix, input):
    """Refuse, before the work, a file that could not be written after it; make nothing yet.

    A file that is there is replaced only where its name says that it is another of its kind, and a
    model only where it is one of skvae's.
    """
    from skvae.persistence._file import is_model_file

    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name the {what} file to write.")
    if path.resolve() == input.expanduser().resolve():
        raise FileExistsError(f"{path} is the input: name another file for the {what}.")
    if path.exists() and path.suffix.lower() != suffix:
        raise FileExistsError(
            f"{path} is there already, and only a {suffix} file would be replaced: name another "
            f"file for the {what}."
        )
    if path.exists() and suffix == SUFFIX and not is_model_file(path):
        raise FileExistsError(
            f"{path} is there already, and skvae did not write it: name another file for the "
            f"{what}, so that nothing is lost."
        )
    folder = next(each for each in path.absolute().parents if each.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to: name another place for the {what}.")


def load_detector(path, device="cpu"):
    """The detector that a model file holds."""
    from skvae import load

    if not existing_model(path).is_file():
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder: name a model file, such as {path}/model.")
        raise FileNotFoundError(f"no model file {path}: skvae fit INPUT -o {path} makes one.")
    loaded = load(existing_model(path), device=device)
    if not hasattr(loaded, "anomaly_score"):
        raise ValueError(f"{path} holds a {type(loaded).__name__}, which is no detector.")
    return loaded
