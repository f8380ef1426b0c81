"""Upload a folder to the hub. The token is the hub's own matter: its login or its HF_TOKEN."""

import re
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

_SAYS = {
    401: "the hub does not know you: run 'hf auth login', or set HF_TOKEN to a token that may write",
    403: "your token may not write to {repo}: check its permissions and the owner's name",
    404: "the hub knows no {repo}, or your token may not see it: check the owner's name",
}


class HubError(RuntimeError):
    """An upload that cannot be made, in one sentence."""


def check_name(repo: str) -> None:
    """Raise HubError where `repo` is no OWNER/NAME."""
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo, re.ASCII):
        raise HubError(f"{repo!r} is no name for a repository on the hub; give OWNER/NAME")


def push(folder: Path, repo: str, *, private: bool = False, endpoint: str | None = None) -> str:
    """Create `repo` where it is not there yet, upload the folder, and return its address; raises HubError.

    A repository that is public already is refused where `private` is asked for.
    """
    check_name(repo)
    try:
        return _pushed(HfApi(endpoint=endpoint, library_name="echochamber"), folder, repo, private)
    except Exception as error:  # the hub's client lets its HTTP library's errors through
        raise HubError(f"{_told(error, repo)}; {folder} stays, and 'hf upload {repo} {folder}' tries again") from error


def _pushed(api: HfApi, folder: Path, repo: str, private: bool) -> str:
    address = api.create_repo(repo, private=private or None, exist_ok=True)
    if private and not api.model_info(repo).private:
        raise HubError(f"{repo} is there already and public: make it private on the hub, or give another name")
    api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Upload a checkpoint of EchoChamber")
    return str(address)


def _told(error: Exception, repo: str) -> str:
    match error:
        case HubError():
            return str(error)
        case HfHubHTTPError():
            code = getattr(error.response, "status_code", 0)
            return _SAYS.get(code, f"the hub answered {code} for {repo}").format(repo=repo)
        case HFValidationError():
            return f"the hub takes no repository called {repo}: give another name"
        case OfflineModeIsEnabled():
            return "the hub is switched off by HF_HUB_OFFLINE: unset it to push"
    return f"pushing {repo} to the hub failed ({type(error).__name__}): check the network"
