"""The REST API of mbus-admin, fuzzed for seconds over real sockets (tests/fuzz/admin_http.py): whatever is sent, closed or left half done, the next
client is answered within a second, the program comes to rest, and SIGTERM ends it."""
import importlib.util
import os
import random

import pytest
from stack import BUILD, SLOW

pytestmark = pytest.mark.one_door("mbus-admin's own socket")
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("fuzz_admin_http", os.path.join(HERE, "..", "fuzz", "admin_http.py"))
fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz)


# the third: a POST with Content-Length: 0 made the thread spin; the fourth: a request that left its address' list of turns, and came back into it
@pytest.mark.parametrize("first", [0, 1000, 2834706893, 2618595328, None])
def test_after_any_batch_of_strange_clients_the_next_one_is_served(first):
    seed = random.randrange(1 << 32) if first is None else first
    print("seed", seed)
    fuzz.run(BUILD, range(seed, seed + 25), slow=SLOW)
