"""All benchmarks that `make bench` runs: prints and writes benchmarks/RESULTS.md."""

from benchmarks import data, fixed
from benchmarks.machine import described
from benchmarks.project import ROOT

PACKAGES = ("tokenizers", "pyarrow", "datasets", "transformers", "torch", "numpy")

sections = [*fixed.section(), *data.section()]
# Not before: the peak memory of a process counts that of the one that started it.
from benchmarks import training  # noqa: E402

sections += training.section()
text = "\n".join(
    [
        "# Benchmarks",
        "",
        f"Machine: {described(*PACKAGES)}.",
        "",
        "Command: `make bench`. Median (lowest to highest); a ratio is one of the same turn.",
        *sections,
        "",
    ]
)
(ROOT / "benchmarks" / "RESULTS.md").write_text(text, encoding="utf-8")
print(text)
