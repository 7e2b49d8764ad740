"""The Hugging Face Hub: asked for a repository once, before its clients are.

They repeat what fails: 25 seconds without a network, minutes if the Hub does not answer.
"""

from collections.abc import Sequence
from pathlib import Path

import httpx2
import huggingface_hub
from huggingface_hub import constants, errors

from yelp_stars.pipeline.errors import UserError, hub_error

# What the clients raise: they wrap some errors of the network, and damaged files, but not all.
FAILURES = (OSError, ValueError, httpx2.HTTPError)
TIMEOUT = 4  # seconds; the client spends 3 of its own before
TOKENS = "https://huggingface.co/settings/tokens"


def check(repo: str, revision: str, repo_type: str, alternative: str) -> None:
    """Return if the Hub has a revision of a repository and lets this user read it.

    A Hub that is too busy to say (429, 5xx) is left to the clients, which wait.

    Raises:
        UserError: if it has not, does not let, or does not answer.
    """
    if constants.HF_HUB_OFFLINE:
        return
    api = huggingface_hub.HfApi()
    try:
        api.repo_info(repo, revision=revision, repo_type=repo_type, timeout=TIMEOUT)
    except errors.GatedRepoError:
        raise UserError(
            f"{repo!r} wants its terms accepted: do so at {constants.ENDPOINT}/"
            f"{'datasets/' if repo_type == 'dataset' else ''}{repo}, and set HF_TOKEN to a token "
            f"of that account"
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{repo!r} has no revision {revision!r} on the Hub") from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"the Hub has no {repo_type} {repo!r}, or it is private; check the name, or set "
            f"HF_TOKEN to a token that may read it"
        ) from None
    except errors.HfHubHTTPError as error:
        if error.response.status_code == 401:
            raise UserError(
                f"the Hub does not accept HF_TOKEN, or the token of `hf auth login`; get another "
                f"one at {TOKENS}, or unset it"
            ) from None
        if error.response.status_code < 500 and error.response.status_code != 429:
            raise hub_error(repo, error, alternative) from None
    except httpx2.HTTPError as error:
        raise hub_error(repo, error, alternative) from None


def download(repo: str, revision: str, patterns: Sequence[str], alternative: str) -> Path:
    """Download files of a model to the Hub's cache. `local_dir` would leave timestamps there.

    Raises:
        UserError: if the Hub does not deliver them.
    """
    check(repo, revision, "model", alternative)
    try:
        return Path(
            huggingface_hub.snapshot_download(
                repo, revision=revision, allow_patterns=list(patterns)
            )
        )
    except FAILURES as error:
        raise hub_error(repo, error, alternative) from None
