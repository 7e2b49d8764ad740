"""`stars plots`: the page of `dvc plots`, with the plotting library inside it.

DVC's page loads Vega from the web, and stays empty without a network (dvc#5679). vl-convert
(BSD-3-Clause, the extra `plots`) has the library as one script.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from yelp_stars.pipeline.errors import UserError

VEGA_LITE = "5.21"  # DVC's templates are of version 5
# DVC calls `vegaEmbed` with an element and a plot. Warnings are about its templates: errors only.
SNIPPET = """
window.vegaEmbed = (element, plot) =>
  vegaEmbed(element, plot, {renderer: "svg", logLevel: 1});
"""
HINT = (
    "the page loads its plotting library from the web; "
    "run `pip install -e '.[plots]'` for a page that opens offline"
)
# Nothing can be requested but pictures beside the page; Vega compiles its expressions.
TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: file: 'self'">
<link rel="icon" href="data:,">
{refresh_tag}
<title>Plots</title>
<style>
body { margin: 1.5rem; font: 16px system-ui, sans-serif; background: #fff; color: #1c2430; }
main { display: flex; flex-wrap: wrap; gap: 1.5rem; }
main > div { overflow-x: auto; max-width: 100%; }
</style>
</head>
<body>
<script>(() => { LIBRARY })();</script>
<main>
{plot_divs}
</main>
</body>
</html>
"""


def plots(
    revisions: Annotated[
        list[str] | None, typer.Argument(help="Revisions or experiments to draw together")
    ] = None,
) -> None:
    """Draw the plots of the last run, or of several, in one page.

    It opens offline.

    \b
    Examples:
      stars plots
      stars plots main slow
    """  # noqa: D301
    revisions = revisions or []
    # Not `dvc`: the environment need not be active.
    command = [sys.executable, "-P", "-m", "dvc", "plots", "diff" if revisions else "show"]
    offline = importlib.util.find_spec("vl_convert") is not None
    with tempfile.TemporaryDirectory() as folder:
        if offline:
            template = Path(folder, "template.html")
            template.write_text(page_template(), encoding="utf-8")
            command += ["--html-template", str(template)]
        done = subprocess.run([*command, "--", *revisions], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise UserError("`dvc plots` failed; its error is above")
    print(done.stdout, end="")
    if not offline:
        print(HINT)


def page_template() -> str:
    """Return the template of DVC's page, with the library in it and without its links."""
    import vl_convert  # only with the extra `plots`

    library = vl_convert.javascript_bundle(SNIPPET, vl_version=VEGA_LITE)
    return TEMPLATE.replace("LIBRARY", library.replace("</script", "<\\/script"))
