# SPDX-License-Identifier: BSD-3-Clause
"""at.py SECONDS ARGUMENTS...: nbdkit-replicate, with a clock that is so many seconds ahead."""
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

AHEAD = float(sys.argv.pop(1))
REAL = time.time
time.time = lambda: REAL() + AHEAD

from nbdkit_replicate.main import main  # noqa: E402

sys.exit(main())
