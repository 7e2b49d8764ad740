"""Ask the Hugging Face Hub for a repository once, before its clients do.

They repeat what fails: 25 seconds without a network, minutes if the Hub does not answer.
"""

from pathlib import Path

import httpx2
import huggingface_hub
from huggingface_hub import constants, errors

from yelp_stars.pipeline.errors import Missing, UserError, hub_error

# What the clients raise: they wrap some errors of the network, and damaged files, but not all.
FAILURES = (OSError, ValueError, httpx2.HTTPError)
TIMEOUT = 4  # seconds; the client spends 3 of its own before
TOKENS = "https://huggingface.co/settings/tokens"


def check(repo: str, revision: str, repo_type: str, alternative: str) -> None:
    """Refuse a repository that the Hub lacks, does not show to this user, or does not answer for.

    A Hub that is too busy to say (429, 5xx) is left to the clients, which wait.
    """
    if constants.HF_HUB_OFFLINE:
        return
    api = huggingface_hub.HfApi()
    try:
        api.repo_info(repo, revision=revision, repo_type=repo_type, timeout=TIMEOUT)
    except errors.GatedRepoError:
        page = f"{'datasets/' if repo_type == 'dataset' else ''}{repo}"
        raise UserError(
            f"{repo!r} requires accepting its terms: do so at {constants.ENDPOINT}/{page}, and set "
            f"HF_TOKEN to a token of that account"
        ) from None
    except errors.RevisionNotFoundError:
        raise Missing(f"{repo!r} has no revision {revision!r} on the Hub") from None
    except errors.RepositoryNotFoundError:
        raise Missing(
            f"the Hub has no {repo_type} {repo!r}, or it is private",
            advice="check the name, or set HF_TOKEN to a token that can read it",
        ) from None
    except errors.HfHubHTTPError as error:
        if error.response.status_code == 401:
            problem = "the Hub does not accept HF_TOKEN, or the token of `hf auth login`"
            raise UserError(problem, advice=f"get a new one at {TOKENS}, or unset it") from None
        if error.response.status_code < 500 and error.response.status_code != 429:
            raise hub_error(repo, error, alternative) from None
    except FAILURES as error:
        raise hub_error(repo, error, alternative) from None


def download(repo: str, revision: str, patterns: list[str]) -> Path:
    """Download files of a checkpoint to the Hub's cache: `local_dir` would add timestamps."""
    alternative = "set pretrained.source to 'package'"
    check(repo, revision, "model", alternative)
    try:
        folder = huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=patterns)
    except FAILURES as error:
        raise hub_error(repo, error, alternative) from None
    return Path(folder)
