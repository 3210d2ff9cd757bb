"""The documentation site: ``nox -s docs``, or ``sphinx-build -W docs build/docs``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

import stemdask

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))  # for figure_scraper
DEMO = DOCS / "gallery" / "stemdask-demo"
REPORTS = DOCS / "auto_reports"
(REPORTS / "site").mkdir(parents=True, exist_ok=True)  # before Sphinx looks whether html_extra_path is there

project = "stemdask"
author = "The stemdask developers"
copyright = author
release = version = stemdask.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["gallery/*", "auto_gallery/*.ipynb", "auto_reports/made/*", "auto_reports/site/*"]
html_theme = "pydata_sphinx_theme"
html_title = "stemdask"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"  # which browsers draw themselves: no script, and no network
html_extra_path = ["auto_reports/site"]  # whole reports, as reports/*.html
html_theme_options = {"show_toc_level": 2, "navigation_depth": 2, "header_links_before_dropdown": 6}
html_sidebars = {"*": []}  # pages at the top have no section to show
html_context = {"default_mode": "light"}

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "auto"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 3600  # of a cell: machines that build sites are busy
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/[a-z]\w*\.py$",
    "image_scrapers": ("matplotlib", "figure_scraper.scrape"),
    "capture_repr": (),
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
}

#: Pages of the repository that lie outside of this folder, and what shows them here.
OUTSIDE = {
    "../README.md": "index.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../SECURITY.md": "security.md",
    "../benchmarks/README.md": "benchmarks.md",
}


def _link_inside(_app: object, docname: str, content: list[str]) -> None:
    """Let links that lead out of the folder, as they must in the repository, lead to the pages that show the same."""
    up = "../" * docname.count("/")
    for outside, inside in OUTSIDE.items():
        content[0] = content[0].replace(f"({up}{outside}", f"({up}{inside}")


def _inline_formula(page: Any, node: Any) -> None:
    """Write a formula of a sentence as MathML."""
    page.body.append(tex2mathml(node.astext().strip()))
    raise SkipNode


def _display_formula(page: Any, node: Any) -> None:
    """Write a formula that stands by itself as MathML, which scrolls where it is wider than the page."""
    page.body.append(f'<div class="formula">{tex2mathml(node.astext().strip(), as_block=True)}</div>\n')
    raise SkipNode


def _run_demo(_app: object) -> None:
    """Analyse the simulated frames whose results the gallery draws."""
    if not (DEMO / "atoms.zarr").exists():
        subprocess.run([sys.executable, "-m", "stemdask", "demo", "-o", str(DEMO)], check=True)


def _write_reports(_app: object) -> None:
    """Run the examples whose reports the page of reports shows."""
    subprocess.run([sys.executable, str(DOCS / "report_examples.py"), str(REPORTS)], check=True)


def setup(app: Any) -> None:
    """Connect what happens before pages are read."""
    app.connect("builder-inited", _run_demo, priority=100)
    app.connect("builder-inited", _write_reports, priority=100)
    app.connect("source-read", _link_inside)
    app.add_html_math_renderer("mathml", (_inline_formula, None), (_display_formula, None))
