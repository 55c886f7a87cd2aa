"""How Sphinx builds the documentation: `make docs`. Nothing here needs the network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# The scripts of the gallery run in processes of their own, one thread each.
for name, value in {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "MKL_NUM_THREADS": "1"}.items():
    os.environ.setdefault(name, value)
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE / "_ext"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)

from pictures import Pictures, forget  # noqa: E402

from pushforward import __version__  # noqa: E402

project = "pushforward"
author = "The pushforward authors"
copyright = author
release = version = __version__
language = "en"
smartquotes = False  # `--html` has two hyphens

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "mathml",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "docstrings",
    "generated",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "_ext", "auto_examples/*.ipynb", "auto_examples/*.py", "auto_examples/*.md5"]
# The address of the repository's files, such as https://example.org/pushforward/blob/main. Without it, links to files
# beyond the documentation offer the files themselves.
repository = os.environ.get("REPOSITORY", "")

# Markdown
myst_enable_extensions = [
    "amsmath",
    "attrs_block",
    "attrs_inline",
    "colon_fence",
    "deflist",
    "dollarmath",
    "fieldlist",
    "tasklist",
]
myst_heading_anchors = 3
myst_dmath_allow_digits = False  # `$5 and $6` are prices
myst_dmath_allow_space = False
suppress_warnings = ["config.cache"]  # the gallery's scraper is an object, which Sphinx cannot compare with the last

# The reference
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 96
python_display_short_literal_types = True
add_module_names = False
toc_object_entries_show_parents = "hide"
nitpicky = True
nitpick_ignore_regex: list[tuple[str, str]] = []

# The gallery
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/\d\d\w*\.py$",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "plot_gallery": os.environ.get("EXAMPLES", "all") != "none",
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "image_scrapers": (Pictures(),),
    "reset_modules": (forget,),
    "reset_modules_order": "both",
    "parallel": 2,
    "thumbnail_size": (400, 280),
    "download_all_examples": False,
    "notebook_extensions": set(),
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 10**6,
    "write_computation_times": False,
    "remove_config_comments": True,
    "capture_repr": (),
    "nested_sections": False,
    "copyfile_regex": "",
}

# The look
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "pushforward"
html_static_path = ["_static"]
html_css_files = ["pushforward.css"]
html_show_sourcelink = False
html_use_index = False  # the search finds every name
html_domain_indices = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0069a8", "color-brand-content": "#0069a8"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
    "navigation_with_keys": True,
}
pygments_style = "tango"
pygments_dark_style = "monokai"
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

# External links are checked by `make linkcheck`, which needs the network.
linkcheck_timeout = 20
linkcheck_workers = 4
linkcheck_anchors = False
