"""`python -m rgan_bench.run.follower`: a rank that rank 0 starts; the config comes as JSON on stdin."""

import contextlib
import json
import sys

from rgan_bench.errors import UserError
from rgan_bench.run.crew import config_from, follow

if __name__ == "__main__":
    # What is wrong with the input rank 0 says, which has the same; and a rank that is lost.
    with contextlib.suppress(UserError, KeyboardInterrupt):
        follow(config_from(json.load(sys.stdin)))
