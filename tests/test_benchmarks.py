"""What the benchmarks know of a machine and of a copy of the project."""

import resource

from benchmarks.machine import peak_memory, processor
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
