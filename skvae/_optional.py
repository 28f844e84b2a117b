"""Import of optional packages, with the install line where one is missing."""

from importlib import import_module


def require(module, extra, what="this part of skvae"):
    """Import an optional module, or say how to install it.

    Parameters
    ----------
    module : str
        Dotted name of the module, such as ``"matplotlib.pyplot"``.
    extra : str
        The extra of skvae that brings it, such as ``"plot"``.
    what : str, default="this part of skvae"
        What needs it; the message begins with it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If the package is not installed. An installed package that fails to import raises its own
        error, because installing it again would not help.

    Examples
    --------
    >>> from skvae._optional import require
    >>> require("json", extra="plot").dumps([1])
    '[1]'
    >>> require("no_such_package.part", extra="plot", what="LatentSpaceDisplay")
    Traceback (most recent call last):
    ImportError: LatentSpaceDisplay needs no_such_package: pip install "skvae[plot]"
    """
    package = module.partition(".")[0]
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(f'{what} needs {package}: pip install "skvae[{extra}]"') from error
    return import_module(module)
