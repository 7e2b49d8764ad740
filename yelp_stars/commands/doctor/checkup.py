"""`stars doctor`: what is wrong with the project, and the command that mends it."""

from collections.abc import Iterator
from pathlib import Path

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash_info import HashInfo

from yelp_stars.commands.doctor import drift, imports, leftovers, lock_file, objects, tracking
from yelp_stars.commands.doctor.lock_file import Declared
from yelp_stars.commands.runs import remotes
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import one_line, quoted
from yelp_stars.pipeline.yaml_file import read_yaml


def run(remote: str | None) -> bool:
    """Print a line for each problem as it is found; returns whether there is one.

    `remote` is the name of the remote to check; "" is the default one, None is none.

    Raises:
        UserError: if DVC cannot read the project, or the remote does not answer.
    """
    found = False
    try:
        repo = Repo()
        for line in _problems(repo, remote):
            print(_complete(line), flush=True)
            found = True
    except (DvcException, OSError) as error:
        raise UserError(f"DVC cannot check this project: {error}") from None
    if not found:
        print("no problems found")
    return found


def _complete(line: str) -> str:
    """A printable line; a long one is not cut, as its command would become another."""
    return line if line.isprintable() else one_line(line)


def _problems(repo: Repo, remote: str | None) -> Iterator[str]:
    """What is wrong; a note, which is nothing to mend, is printed."""
    pipeline, cache = read_yaml(Path("dvc.yaml")), repo.cache.local
    stages = pipeline.get("stages") if isinstance(pipeline, dict) else None
    if not isinstance(stages, dict):
        raise UserError("dvc.yaml has no stages; run `git checkout HEAD -- dvc.yaml`")
    refused = list(tracking.check_git())
    if refused:
        yield from refused
        return  # other checks would take nothing for tracked
    try:
        yield from imports.undeclared(Path(), stages)
    except UserError as error:
        yield str(error)
    yield from drift.check_libraries(Path("requirements.lock"))
    yield from tracking.check_config(Path(repo.dvc_dir, "config"))
    yield from tracking.check_remotes(repo.config.load_one("repo").get("remote", {}))
    hardlink_lock = repo.config["core"].get("hardlink_lock", False)
    yield from leftovers.check_leftovers(Path(repo.tmp_dir), Path(cache.path), hardlink_lock)
    for note in tracking.shared_cache(Path(cache.path)):
        print(one_line(f"note: {note}"))
    try:
        lock = lock_file.read_lock()
        yield from lock_file.check_params(lock, read_yaml(Path("params.yaml")))
    except UserError as error:
        yield str(error)
        return  # without the lock, DVC knows no outs
    yield from lock_file.check_lock(
        lock, _declared(repo), lambda md5: objects.entries(HashInfo("md5", md5), cache)
    )
    yield from tracking.check_your_files(map(str, repo.index.outs))
    yield from _objects(repo, cache, remote)
    try:
        yield from drift.check_tokenizer(
            Path("data/raw"), Path("data/tokenized"), Path("models/finetuned")
        )
    except UserError as error:  # of a damaged file
        yield str(error)


def _declared(repo: Repo) -> dict[str, Declared]:
    """The stages of dvc.yaml as DVC resolves them: one of the file may stand for several."""
    return {
        stage.name: Declared(
            stage.cmd,
            {dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency)},
            {out.def_path for out in stage.outs},
        )
        for stage in repo.index.stages
        if isinstance(stage, PipelineStage) and Path(stage.path) == Path("dvc.yaml").resolve()
    }


def _objects(repo: Repo, cache: HashFileDB, remote: str | None) -> Iterator[str]:
    """What the cache, and the remote, lack of what dvc.lock and .dvc files name."""
    default = repo.config["core"].get("remote")
    there = _open(repo, remote or default) if remote is not None else None
    try:
        found = objects.stored(repo, *filter(None, (cache, there)))
        outs = objects.pushed(repo, remote or default)
        uploaded = [one for one in found if one.out in outs]
        not_there = objects.faults(there, uploaded) if there else {}
    except remotes.READ_ERRORS as error:
        if there is None:
            raise
        raise remotes.no_answer(remote or default, str(error)) from None
    everything = {one.md5 for one in found}
    not_here = objects.faults(cache, found)
    in_remote = {one.md5 for one in uploaded} - set(not_there) if there or default else set()
    if set(not_here.values()) == {objects.MISSING} and set(not_here) == everything:
        mend = "dvc pull" if in_remote else "dvc repro"
        print(f"note: DVC's cache has no out of the last run, as in a new clone; run `{mend}`")
    else:
        ignore = repo.dvcignore
        yield from objects.check_cache(cache, found, not_here, in_remote, there is not None, ignore)
    if set(not_there.values()) == {objects.MISSING} and len(not_there) == len(uploaded):
        yield (
            f"the remote {quoted(remote or default)} has no out of the last run, or does not "
            f"answer; run `dvc push` where the outs are"
        )
    elif there:
        here = everything - set(not_here)
        yield from objects.check_remote(remote or default, there, uploaded, not_there, here)


def _open(repo: Repo, name: str | None) -> HashFileDB:
    """The objects of a remote that answers.

    Raises:
        UserError: if it does not.
    """
    if name is None or name not in repo.config["remote"]:
        which = f"no remote {quoted(name)}" if name else "no default remote"
        raise UserError(f"{which} in DVC's settings; run `dvc remote list`, see docs/remotes.md")
    remotes.check_answers(repo, name)
    odb: HashFileDB = repo.cloud.get_remote_odb(name)
    return odb
