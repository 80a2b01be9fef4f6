"""One stack per pytest worker and one customer per test, as everywhere (tests/conftest.py); most tests need one token of it."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))


@pytest.fixture
def token(customer):
    return customer.token()
