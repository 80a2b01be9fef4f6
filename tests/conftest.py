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


def pytest_configure(config):
    config.addinivalue_line("markers", "one_door(why): the test, or all of its file, runs once instead of on each door")


def pytest_generate_tests(metafunc):
    """Each flow and attack test runs on each door of MBUS_DOORS; one that has a door of its own, or none, says @pytest.mark.one_door(why)."""
    if metafunc.definition.path.parent.name in ("flow", "attack") and not metafunc.definition.get_closest_marker("one_door"):
        metafunc.parametrize("door", doors.ALL, indirect=True)


# What takes longest begins first: begun last, one process would be at it alone, when all others have ended.
LONG = ["test_a_authentication.py", "test_interop_qos2.py", "test_r_connections.py", "test_o_outages.py", "test_sessions.py", "test_drain.py", "test_quotas.py", "test_i_fair.py",
        "test_run.py", "test_r_rates.py", "test_interop.py", "test_filters.py", "test_browser.py", "test_client_certs.py", "test_interop_large.py", "test_rest.py", "test_m_authority.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """With --dist loadgroup: a file's tests on one door are for one process, which starts the stacks of that file once."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
    for item in items:
        where = getattr(item, "callspec", None) and item.callspec.params.get("door", "")
        item.add_marker(pytest.mark.xdist_group("%s %s" % (item.path.name, where or "")))


@pytest.fixture(autouse=True)
def door(request):
    """The door of this test: where .port of every Stack, Pair and Proxy leads."""
    doors.current = getattr(request, "param", "tcp")
    yield doors.current
    doors.current = "tcp"


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
