"""Push a version of the model to the Hugging Face Hub: one commit with all of it, then its tag."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, constants, errors, get_token
from huggingface_hub.utils import logging

from yelp_stars.checkpoint.card import VALID
from yelp_stars.checkpoint.hub import FAILURES, TIMEOUT, TOKENS
from yelp_stars.commands import release
from yelp_stars.commands.runs.revisions import open_model
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.text import listed, quoted, shell_word


def log_in(repo: str) -> HfApi:
    """Return a client with the user's token; refuse what the Hub would refuse, and send nothing."""
    if not VALID["base_model"].fullmatch(repo):
        raise UserError(f"{quoted(repo)} is not a repository's OWNER/NAME")
    if constants.HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE is set: nothing can be sent", advice="unset it")
    token = get_token()
    if not token:
        advice = f"set HF_TOKEN to one that may write, from {TOKENS}, or run `hf auth login`"
        raise UserError("the Hub requires a token", advice=advice)
    return HfApi(token=token)


def push(client: HfApi, repo: str, version: str) -> None:
    """Push a version with its statement to a repository, which is created if there is none."""
    tag, page = release.tag_of(version), f"{constants.ENDPOINT}/{repo}"
    print(f"\npushing {tag}, commit {release.commit_of(tag)[:12]}, to {page}", flush=True)
    with open_model(release.commit_of(tag)) as folder:
        release.check_files(tag, folder)
        write_json(folder / release.STATEMENT, release.state(tag))
        card = ModelCard.load(folder / "README.md").data
        with reporting(repo, version):
            private = upload(client, repo, version, folder)
    print(f"pushed: {page}, revision {version}")
    if private:
        print(f"the repository is private; its owner can make it public: {page}/settings")
    if unknown := [key for key in VALID if not card.get(key)]:
        print(f"its card has no {', no '.join(unknown)}: the checkpoint's own card names none")


def upload(client: HfApi, repo: str, version: str, folder: Path) -> bool:
    """Upload what the repository lacks, and tag it; return whether the repository is private."""
    with contextlib.suppress(errors.RepositoryNotFoundError):
        client.model_info(repo, timeout=TIMEOUT)  # the other calls would wait for ever
    client.create_repo(repo, private=True, exist_ok=True)
    main = client.model_info(repo)
    tags = [tag.name for tag in client.list_repo_refs(repo).tags]
    is_tagged = version in tags
    newer = [
        tag for tag in tags if release.VERSION.fullmatch(tag) and _order(tag) > _order(version)
    ]
    if newer and not is_tagged:
        problem = f"{repo!r} has {listed(newer, 3)} already: its main would go back to {version}"
        raise UserError(problem, advice="push a newer version, or to another repository")
    revision = version if is_tagged else main.sha
    found = client.verify_repo_checksums(repo, revision=revision, local_dir=folder)
    others = [name for name in found.missing_paths if name not in release.BESIDE]
    if is_tagged:
        others += [file["path"] for file in found.mismatches] + found.extra_paths
    if others:
        problem = f"{repo!r} has other files than {version}: {listed(others, 3)}"
        raise UserError(problem, advice="push another version, or to another repository")
    if not is_tagged:
        message = f"{release.ARTIFACT} {version}"
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in paths]
        commit = client.create_commit(repo, files, commit_message=message, parent_commit=main.sha)
        client.create_tag(repo, tag=version, revision=commit.oid)
    return bool(main.private)


def _order(version: str) -> list[int]:
    return [int(number) for number in version[1:].split(".")]


@contextlib.contextmanager
def reporting(repo: str, version: str) -> Iterator[None]:
    """Report what the Hub refuses, or what does not reach it, with the command to run again."""
    # The client's warnings have the addresses that files are sent to, which are secret.
    logging.set_verbosity_error()
    try:
        yield
    except (*FAILURES, RuntimeError) as caught:
        # The client's thread of an upload says why in the cause alone.
        error = (caught.__cause__ or caught) if type(caught) is RuntimeError else caught
        reason = re.sub(r"\?[^\s']+", "", " ".join(str(error).split()))[:160]
        problem = f"the Hub did not take {repo!r} ({type(error).__name__}: {reason})"
        again = f"run `stars release {shell_word(version)} --push {shell_word(repo)}`"
        advice = f"{again} again: what has arrived is not sent twice"
        if isinstance(error, errors.HfHubHTTPError) and error.response.status_code in (401, 403):
            problem = f"the Hub does not let your token write to {repo!r}"
            advice = f"set HF_TOKEN to one that may, from {TOKENS}, and {again}"
        raise UserError(problem, advice=advice) from None
