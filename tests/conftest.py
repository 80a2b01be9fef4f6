"""What flow and attack tests share: one stack of real processes per pytest worker, a fresh customer per test."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "kit"))

import doors  # noqa: E402
from stack import Customer, Stack  # noqa: E402


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """mbus-core, mbus-admin and mbus-proxy on free ports, started once for this worker by scripts/stack."""
    s = Stack(tmp_path_factory.mktemp("stack"))
    s.start()
    yield s
    s.stop()


def pytest_generate_tests(metafunc):
    """A module with `every_door = True` runs all its tests that use the stack on each door of MBUS_DOORS."""
    if getattr(metafunc.module, "every_door", False) and "stack" in metafunc.fixturenames:
        metafunc.parametrize("door", doors.ALL, indirect=True)


@pytest.fixture(autouse=True)
def door(request):
    """The door that stack.port leads to in this test."""
    name = getattr(request, "param", "tcp")
    if "stack" in request.fixturenames:
        request.getfixturevalue("stack").door = name
    return name


@pytest.fixture(autouse=True)
def stack_still_lives(request):
    """Whatever a test did, the three programs must have survived it."""
    yield
    if "stack" in request.fixturenames:
        request.getfixturevalue("stack").check_alive()


@pytest.fixture
def customer(stack):
    """A customer that no other test knows, with a master token."""
    return stack.new_customer()


@pytest.fixture
def other(stack):
    """A second one, to be kept apart from the first."""
    return stack.new_customer()


__all__ = ["Customer"]
