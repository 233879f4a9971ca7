# SPDX-License-Identifier: BSD-3-Clause
"""Names that the packages of this folder offer: each gives its class, and is known."""

import importlib
import tomllib
from pathlib import Path

import pytest

from rnnkit import plugins

PROJECTS = sorted(Path(__file__).parent.glob("*/pyproject.toml"))
OFFERED = [
    (project["name"], group.removeprefix("rnnkit.").removesuffix("s"), name, value)
    for path in PROJECTS
    for project in [tomllib.loads(path.read_text("utf-8"))["project"]]
    for group, points in project["entry-points"].items()
    for name, value in points.items()
]


@pytest.mark.parametrize(
    ("package", "kind", "name", "value"), OFFERED, ids=[point[2] for point in OFFERED]
)
def test_an_entry_point_gives_a_class_that_rnnkit_takes(package, kind, name, value):
    module, _, attribute = value.partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    register = getattr(plugins, f"register_{kind}")
    register(f"tested-{name}", cls, replace=True)
    assert type(getattr(plugins, f"make_{kind}")(f"tested-{name}")) is cls


def test_rnnkit_says_which_package_offers_each_name():
    known = {
        (kind, name): package
        for kind, names in plugins.KNOWN_PACKAGES.items()
        for name, package in names.items()
    }
    assert known == {(kind, name): package for package, kind, name, _ in OFFERED}


def test_every_name_is_in_the_readme_of_its_package():
    for package, _, name, _ in OFFERED:
        text = (Path(__file__).parent / package / "README.md").read_text("utf-8")
        assert f"`{name}`" in text or f'"{name}"' in text
