"""Curves of DVCLive: minutes since the start, few points, missing ones left out."""

from yelp_stars.report.machine_load import POINTS, read_curve, read_load


def write(folder, name, rows):
    path = folder / "plots" / "metrics" / "system" / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["timestamp\tstep\tx", *(f"{at}\t{step}\t{value}" for at, step, value in rows)]
    path.write_text("\n".join(lines) + "\n")


def test_the_load_is_over_the_minutes_of_the_training(tmp_path):
    start = 1_795_634_609_975
    cut = (start + 90_100, 5, 4.0)  # the last interval, which is not complete
    rows = [(start, 0, 88.0), (start + 90_000, 5, 93.5), cut]
    write(tmp_path, "cpu/usage (%)", rows)
    write(tmp_path, "ram/usage (GB)", [(start, 0, 1.25)])
    write(tmp_path, "gpu/usage (%)/0", [(start, 0, 55.0)])
    write(tmp_path, "vram/usage (GB)/0", [(start, 0, 11.0)])
    load = read_load(tmp_path)
    assert load.busy == {"CPU": [(0.0, 88.0), (1.5, 93.5)], "GPU 0": [(0.0, 55.0)]}
    assert load.memory == {"RAM": [(0.0, 1.25)], "GPU 0": [(0.0, 11.0)]}


def test_what_was_not_recorded_is_left_out(tmp_path):
    write(tmp_path, "cpu/usage (%)", [])
    assert read_load(tmp_path) == ({}, {})


def test_a_long_curve_is_thinned(tmp_path):
    write(tmp_path, "cpu/usage (%)", [(at * 1000, at, 1.0) for at in range(9000)])
    curve = read_load(tmp_path).busy["CPU"]
    assert POINTS <= len(curve) < 2 * POINTS
    assert curve[0] == (0.0, 1.0)


def test_a_curve_of_the_training_is_steps_and_values(tmp_path):
    (tmp_path / "train_loss.tsv").write_text("step\tloss\n25\t1.609\n50\t1.494\n")
    assert read_curve(tmp_path / "train_loss.tsv") == [(25.0, 1.609), (50.0, 1.494)]
