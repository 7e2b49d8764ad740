"""What the benchmarks know of a machine and of a copy of the project."""

import resource

import pytest

from benchmarks.machine import encoder_flops, peak_memory, processor, product_rate
from benchmarks.workspace import config_without_remotes


def test_the_settings_of_copies_hold_no_remote_of_the_team(tmp_path):
    config = tmp_path / "config"
    shared = '[core]\nautostage = true\n{}[cache]\ntype = "copy"\n{}'
    remote = "['remote \"store\"']\nurl = /mnt/team\n"
    config.write_text(shared.format("remote = store\n", remote))
    assert config_without_remotes(config).split() == shared.format("", "").split()


def test_a_machine_without_proc_is_described(tmp_path):
    assert processor(tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name : Some CPU\n")
    assert processor(tmp_path / "cpuinfo") == "Some CPU"


def test_peak_memory_is_in_bytes_on_every_system():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    assert peak_memory(usage, "linux") == 1024 * peak_memory(usage, "darwin")


def test_the_work_of_texts_is_that_of_an_encoders_matrix_products():
    # BERT-base, 2 texts of 512 tokens: 24 * n * h^2 and 4 * n^2 * h in each of 12 layers.
    per_text = 12 * (24 * 512 * 768**2 + 4 * 512**2 * 768)
    assert encoder_flops([512, 512], 12, 768, 3072) == 2 * per_text


@pytest.mark.slow
def test_the_rate_of_matrix_products_is_measured_on_any_processor():
    assert product_rate("fp32") > 1e8
