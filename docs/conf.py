"""How Sphinx builds the documentation; ``make docs`` runs it with every warning as an error."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "benchmarks"))

from pages import write_api_pages, write_inventories, write_tables

import skvae

project = "skvae"
author = "skvae developers"
copyright = "skvae developers"
version = release = skvae.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
    "sphinx_copybutton",
    "mathml",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "diagrams", "measured", "**/README.rst"]
default_role = "literal"
nitpicky = True

# What is written before anything is read: pages of the API, recorded tables, names elsewhere.
write_api_pages(HERE / "api")
write_tables(HERE / "measured")
intersphinx_mapping = write_inventories(HERE / "_build" / "inventories")

autodoc_typehints = "none"
autosummary_generate = True
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
# All checks but these.
numpydoc_validation_checks = {
    "all",
    "ES01",  # one sentence is often enough
    "EX01",  # a method needs no example where its class has one; tests see to classes and functions
    "SA01",
    "GL01",  # the summary begins on the line of the quotes
    "GL08",
    "RT02",  # what is returned has a name
    "RT03",
    "SS05",
    "SS06",  # the summary may take two lines
}
numpydoc_validation_exclude = {r"\.__init__$"}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "subsection_order": [
        f"../examples/{topic}"
        for topic in (
            "tabular",
            "images",
            "series",
            "thresholds",
            "model_selection",
            "screening",
            "drift",
            "interop",
        )
    ],
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("skvae",),
    "backreferences_dir": "api/backreferences",
    "reference_url": {"skvae": None},
    "abort_on_example_error": True,
    "parallel": 2,
    "capture_repr": (),  # what a script prints is its output
    "show_memory": False,
    "write_computation_times": False,  # its pages load scripts from elsewhere
    "show_signature": False,
    "min_reported_time": 1,
    "remove_config_comments": True,
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "skvae"
html_static_path = ["_static"]
html_css_files = ["skvae.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "skvae"},
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "getting_started": [], "benchmarks": []}
