"""What the tests of the real process share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from live_support import Project


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Project]]:
    """Makes projects; whatever still runs in one is killed with the module."""
    made: list[Project] = []

    def make() -> Project:
        made.append(Project(tmp_path_factory.mktemp("live")))
        return made[-1]

    yield make
    for project in made:
        project.close()


@pytest.fixture
def project(projects: Callable[[], Project]) -> Project:
    """An empty project for one test."""
    return projects()
