"""Errors that a user can act on."""

from typing import Any


class UserError(Exception):
    """A mistake its user can fix: the message says what is wrong and which command to run next."""


def hub_error(repo: str, error: Exception, alternative: str) -> UserError:
    """The error for a repository that the Hugging Face Hub did not deliver."""
    reason = " ".join(str(error).split())[:160]
    return UserError(
        f"the Hub did not deliver {repo!r} ({type(error).__name__}: {reason}); check the network, "
        f"HF_ENDPOINT and HF_HUB_OFFLINE, or {alternative}"
    )


def quoted(value: Any) -> str:
    """A value as Python writes it, cut at 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
