"""A Hugging Face Hub on loopback that takes models: the requests of `stars release --push`.

Small files come with the commit, large ones by git-lfs to a storage that gets no token.
"""

import base64
import hashlib
import json
import re
import urllib.parse
from typing import Any

from hub import Handler, Hub
from huggingface_hub.utils.sha import git_hash

SIGNATURE = "secretOfTheAddress"
LARGE = re.compile(r"\.safetensors$")
LICENSES = {"apache-2.0", "mit"}


class Repository:
    """The commits of a repository, each with all of its files, and its tags."""

    def __init__(self, visibility: str) -> None:
        self.visibility = visibility
        self.commits: dict[str, dict[str, bytes]] = {}
        self.tags: dict[str, str] = {}
        self.commit({".gitattributes": b"*.safetensors filter=lfs\n"})

    @property
    def head(self) -> str:
        return [*self.commits][-1]

    def commit(self, files: dict[str, bytes]) -> str:
        before = self.commits[self.head] if self.commits else {}
        oid = hashlib.sha1(repr((len(self.commits), files)).encode()).hexdigest()
        self.commits[oid] = before | files
        return oid

    def at(self, revision: str) -> dict[str, bytes]:
        return self.commits[self.head if revision == "main" else self.tags.get(revision, revision)]


def digest(name: str, content: bytes) -> str:
    """What the Hub compares a file by."""
    return hashlib.sha256(content).hexdigest() if LARGE.search(name) else git_hash(content)


def entry(name: str, content: bytes) -> dict[str, Any]:
    found = {"type": "file", "path": name, "size": len(content), "oid": git_hash(content)}
    lfs = {"oid": digest(name, content), "size": len(content), "pointerSize": 134}
    return found | ({"lfs": lfs} if LARGE.search(name) else {})


class UploadHandler(Handler):
    """Serves and extends `server.repositories`."""

    server: "UploadHub"

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if self.is_refused(path):
            return
        if file := re.fullmatch("/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repository = self.server.repositories[file[1]]
            content = repository.at(file[2])[file[3]]
            commit = repository.tags.get(file[2], file[2])
            headers = {"ETag": f'"{digest(file[3], content)}"', "X-Repo-Commit": commit}
            self.answer(200, content, headers)
            return
        found = re.fullmatch("/api/models/([^/]+/[^/]+)(?:/(refs|tree|revision)(?:/(.+))?)?", path)
        assert found, path
        repo, what, revision = found[1], found[2], found[3] or "main"
        if repo not in self.server.repositories:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        repository = self.server.repositories[repo]
        if what == "refs":
            branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repository.head}]
            tags = [
                {"name": name, "ref": f"refs/tags/{name}", "targetCommit": commit}
                for name, commit in repository.tags.items()
            ]
            self.json({"branches": branches, "converts": [], "tags": tags})
        elif what == "tree":
            self.json([entry(*item) for item in repository.at(revision).items()])
        else:
            files = repository.at(revision)
            sha = next(oid for oid, content in repository.commits.items() if content is files)
            private = repository.visibility == "private"
            siblings = [{"rfilename": name} for name in files]
            self.json({"id": repo, "sha": sha, "siblings": siblings, "private": private})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if self.is_refused(path):
            return
        if path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.validate(json.loads(body)["content"])
        elif batch := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self.batch(json.loads(body)["objects"])
        else:
            found = re.fullmatch("/api/models/([^/]+/[^/]+)/(preupload|commit|tag)/(.+)", path)
            assert found, (path, batch)
            repository = self.server.repositories[found[1]]
            if found[2] == "preupload":
                self.preupload(repository, json.loads(body)["files"])
            elif found[2] == "commit":
                self.commit(found[1], [json.loads(line) for line in body.splitlines()])
            elif (tag := json.loads(body)["tag"]) in repository.tags:
                self.answer(409, b"{}", {"X-Error-Message": "Reference already exists"})
            else:
                repository.tags[tag] = found[3]
                self.json({})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        path = urllib.parse.urlsplit(self.path)
        if self.is_refused(path.path):
            return
        sha256 = hashlib.sha256(content).hexdigest()
        assert path.path == f"/storage/{sha256}"
        assert path.query == f"signature={SIGNATURE}"
        self.server.stored[sha256] = content
        self.answer(200, b"", {})

    def create(self, wanted: dict[str, Any]) -> None:
        repo = f"{wanted['organization']}/{wanted['name']}"
        is_new = repo not in self.server.repositories
        if is_new:
            self.server.repositories[repo] = Repository(wanted.get("visibility", "public"))
        content = json.dumps({"url": f"{self.server.address}/{repo}", "id": repo}).encode()
        self.answer(200 if is_new else 409, content, {"Content-Type": "application/json"})

    def validate(self, card: str) -> None:
        from yelp_stars.pipeline.yaml_file import parse_yaml

        metadata = parse_yaml(card.split("---\n")[1].encode(), "README.md")
        problems = [
            {"message": f"{key!r} is not valid"}
            for key, valid in (("license", LICENSES), ("language", {"en"}))
            if metadata.get(key, next(iter(valid))) not in valid
        ]
        answer = json.dumps({"errors": problems, "warnings": []}).encode()
        self.answer(400 if problems else 200, answer, {"Content-Type": "application/json"})

    def batch(self, objects: list[dict[str, Any]]) -> None:
        answers = []
        for item in objects:
            address = f"{self.server.address}/storage/{item['oid']}?signature={SIGNATURE}"
            known = item["oid"] in self.server.stored
            answers.append(item if known else item | {"actions": {"upload": {"href": address}}})
        self.json({"transfer": "basic", "objects": answers})

    def preupload(self, repository: Repository, files: list[dict[str, Any]]) -> None:
        there = repository.at("main")
        modes = [
            {
                "path": (name := file["path"]),
                "uploadMode": "lfs" if LARGE.search(name) else "regular",
                "shouldIgnore": False,
                "oid": digest(name, there[name]) if name in there else None,
            }
            for file in files
        ]
        self.json({"files": modes})

    def commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        repository = self.server.repositories[repo]
        header, *operations = lines
        if header["value"].get("parentCommit") not in (None, repository.head):
            self.answer(412, b"{}", {"X-Error-Message": "A commit has happened since."})
            return
        files = {}
        for line in operations:
            assert line["key"] in ("file", "lfsFile")  # nothing is deleted
            value = line["value"]
            files[value["path"]] = (
                base64.b64decode(value["content"])
                if line["key"] == "file"
                else self.server.stored[value["oid"]]
            )
        oid = repository.commit(files)
        address = f"{self.server.address}/{repo}/commit/{oid}"
        self.json({"commitUrl": address, "commitOid": oid})


class UploadHub(Hub):
    """A server with `repositories`, by owner/name, and the large files that are `stored`."""

    handler = UploadHandler

    def __init__(self, revision: str = "") -> None:
        super().__init__(revision)
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
