"""Run the benchmarks of `make bench`; print and write benchmarks/RESULTS.md."""

from benchmarks import startup, tokenization
from benchmarks.machine import describe_machine
from benchmarks.workspace import ROOT

PACKAGES = ("tokenizers", "pyarrow", "datasets", "transformers", "torch", "numpy")

lines = [*startup.markdown(), *tokenization.markdown()]
# Late: the peak memory of a process counts that of the process that started it.
from benchmarks import prediction, training  # noqa: E402

lines += training.markdown() + prediction.markdown()
text = "\n".join(
    [
        "# Benchmarks",
        "",
        f"Machine: {describe_machine(*PACKAGES)}.",
        "",
        "Command: `make bench`. Median (lowest to highest); ratios are within one turn.",
        *lines,
        "",
    ]
)
(ROOT / "benchmarks" / "RESULTS.md").write_text(text, encoding="utf-8")
print(text)
