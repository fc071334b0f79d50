"""Workflows, hooks, the citation, pins and releases agree with the files that they name."""

import importlib.util
import re
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import vlx
from tests.lowest import lowest
from tests.release_check import wrong

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def named(path: Path) -> str:
    return path.name


def read(name: str | Path) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def commands(job: dict[str, Any]) -> list[str]:
    """What the steps of a job run, once for each combination of its matrix."""
    matrix = {k: v for k, v in job.get("strategy", {}).get("matrix", {}).items() if k != "include"}
    lines: list[str] = []
    for values in product(*matrix.values()):
        for step in job.get("steps", []):
            line = step.get("run", "")
            for key, value in zip(matrix, values, strict=True):
                line = line.replace(f"${{{{ matrix.{key} }}}}", value)
            lines.append(line)
    return lines


def made(text: str) -> list[str]:
    """The targets of make in a command."""
    return [word for said in re.findall(r"\bmake((?: [\w${.}-]+)+)", text) for word in said.split()]


def test_there_are_the_three_workflows():
    assert [path.stem for path in WORKFLOWS] == ["checks", "nightly", "release"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=named)
def test_what_a_workflow_runs_exists(path: Path):
    jobs = read(path)["jobs"]
    lines = [line for job in jobs.values() for line in commands(job)]
    targets = [target for line in lines for target in made(line)]
    assert targets
    assert [target for target in targets if target not in TARGETS] == []
    for module in re.findall(r"python -m ([\w.]+)", "\n".join(lines)):
        assert importlib.util.find_spec(module), module
    for job in jobs.values():
        assert not {need for need in job.get("needs", [])} - set(jobs)
        called = job.get("uses", "")
        assert not called.startswith("./") or (ROOT / called).is_file(), called


def test_the_reading_of_targets_can_fail():
    assert made("make lint types && make no-such") == ["lint", "types", "no-such"]
    assert "no-such" not in TARGETS
    job = {"strategy": {"matrix": {"of": ["a", "b"]}}, "steps": [{"run": "make ${{ matrix.of }}"}]}
    assert commands(job) == ["make a", "make b"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=named)
def test_a_workflow_may_read_alone(path: Path):
    """Only publishing asks for an identity; no secret is stored, and an action has a version."""
    text, workflow = path.read_text(encoding="utf-8"), read(path)
    assert workflow["permissions"] == {"contents": "read"}
    asked = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert asked == ({"publish": {"id-token": "write"}} if path.stem == "release" else {})
    assert "secrets." not in text
    assert all(re.search(r"@[\w/.-]+$", one) for one in re.findall(r"uses: ([^.\s]\S+)", text))
    assert "${{ github.head_ref" not in text  # a stranger's name of a branch is no part of a command
    assert not any("${{ github." in line for job in workflow["jobs"].values() for line in commands(job))


def test_every_check_of_the_repository_is_in_the_workflow():
    said = set(made((ROOT / ".ci" / "run").read_text(encoding="utf-8")))
    workflow = {
        target
        for job in read(WORKFLOWS[0])["jobs"].values()
        for line in commands(job)
        for target in made(line)
    }
    assert {"lint", "types", "imports", "wheel", "notebooks", "test"} <= said
    assert said - workflow == set()


def test_a_release_waits_for_the_checks():
    workflow = read(ROOT / ".github" / "workflows" / "release.yml")
    jobs = workflow["jobs"]
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads the key "on" as true
    assert set(jobs["publish"]["needs"]) == {"checks", "build"}
    assert "make release-check" in commands(jobs["build"])


def test_the_same_pythons_are_tested_allowed_and_told():
    matrix = read(WORKFLOWS[0])["jobs"]["tests"]["strategy"]["matrix"]
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert matrix["python"] == PYTHONS
    assert [f"3.{minor}" for minor in range(30) if f"3.{minor}" in allowed] == PYTHONS
    told = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one) for one in PROJECT["classifiers"]
    ]
    assert [one[1] for one in told if one] == PYTHONS
    for name in ("README.md", "CONTRIBUTING.md"):
        assert "Python 3.11 to 3.14" in (ROOT / name).read_text(encoding="utf-8")


def test_hooks_are_local_and_of_the_environment():
    (repo,) = read(".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    tools = {Requirement(one).name for one in PROJECT["optional-dependencies"]["dev"]}
    for hook in repo["hooks"]:
        assert hook["language"] == "system"
        program, *rest = hook["entry"].split()
        assert rest[0] in TARGETS if program == "make" else program.removeprefix(".venv/bin/") in tools
    assert [hook["id"] for hook in repo["hooks"]] == ["ruff-check", "ruff-format", "pyright", "lint-imports"]


def test_the_lowest_versions_are_below_the_pinned_ones():
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", pins, re.MULTILINE):
        pinned[name.lower().replace("_", "-")] = version
    said = lowest()
    assert {"torch==2.6", "transformers==5.23", "pyarrow==18"} <= set(said)
    asked = PROJECT["dependencies"] + [
        one for name in ("densecap", "evaluate") for one in PROJECT["optional-dependencies"][name]
    ]
    for low, one in zip(said, asked, strict=True):
        requirement = Requirement(one)
        assert low == f"{requirement.name}=={str(requirement.specifier).removeprefix('>=')}"
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), one


def test_the_citation_is_of_this_version_and_of_the_paper():
    cited = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert (cited["title"], cited["version"], cited["license"]) == (
        "vlx",
        vlx.__version__,
        PROJECT["license"],
    )
    (paper,) = cited["references"]
    assert paper["title"].startswith("Grad-CAM:")
    assert paper["authors"][0]["family-names"] == "Selvaraju"
    assert re.fullmatch(r"10\.\d{4,}/\S+", paper["doi"])


def release(folder: Path, changelog: str) -> Path:
    (folder / "vlx").mkdir()
    shutil.copy(ROOT / "CITATION.cff", folder)
    shutil.copy(ROOT / "vlx" / "__init__.py", folder / "vlx")
    (folder / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    return folder


def test_a_tag_that_fits_can_be_released(tmp_path: Path):
    root = release(tmp_path, f"# Changelog\n\n## {vlx.__version__} - 2026-01-31\n")
    assert wrong(f"v{vlx.__version__}", root) == []


def test_what_stands_in_the_way_of_a_release_is_said(tmp_path: Path):
    root = release(tmp_path, f"# Changelog\n\n## {vlx.__version__} (unreleased)\n")
    cited = (root / "CITATION.cff").read_text(encoding="utf-8")
    (root / "CITATION.cff").write_text(
        cited.replace(f"version: {vlx.__version__}", "version: 0.0.9"), "utf-8"
    )
    said = wrong("v9", root)
    assert len(said) == 3
    assert (
        said[0]
        == f"the tag is 'v9', the version in vlx/__init__.py is {vlx.__version__}: tag it v{vlx.__version__}"
    )


def test_the_changelog_has_the_usual_form():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert versions
    assert versions[0].startswith(vlx.__version__)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+( \(unreleased\)| - \d{4}-\d\d-\d\d)", one) for one in versions)
    kinds = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert kinds
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_the_files_that_a_document_links_or_names_exist(name: str):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = [one for one in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in one]
    assert [one for one in links if not (ROOT / one).exists()] == []
    assert f"({name})" in (ROOT / "README.md").read_text(encoding="utf-8")
