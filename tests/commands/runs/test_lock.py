"""dvc.lock is read completely, or the line says why not."""

import pytest

from yelp_stars.commands.runs.lock import flat, read_lock
from yelp_stars.pipeline.errors import Damaged


@pytest.mark.parametrize("end", ["cmd:", "hash: md", "hash: md5", "md5: 83c5", "size:", "size: 2"])
def test_a_file_of_which_dvc_wrote_a_part_is_refused_where_dvc_itself_fails(
    tmp_path, monkeypatch, end
):
    entry = "    deps:\n    - path: code.py\n"
    whole = f"schema: '2.0'\nstages:\n  fit:\n    cmd: fit\n{entry}      hash: md5\n"
    whole += f"      md5: {'83c5' * 8}\n      size: 20\n"
    (tmp_path / "dvc.lock").write_text(whole[: whole.index(end) + len(end)])
    monkeypatch.chdir(tmp_path)
    if end in ("hash: md5", "size: 2"):
        assert read_lock()["fit"].cmd == "fit"
    else:
        with pytest.raises(Damaged) as caught:
            read_lock()
        assert caught.value.advice.startswith("run `git checkout HEAD -- dvc.lock`")


def test_nested_parameters_are_flat():
    tree = {"train": {"rate": 0.1, "more": {"depth": [3]}, "none": {}}, "seed": 1}
    assert flat(tree) == {
        "train.rate": 0.1, "train.more.depth": [3], "train.none": {}, "seed": 1,
    }  # fmt: skip
