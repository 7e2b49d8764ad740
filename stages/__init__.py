"""The stages: one script each, run as `python -m stages.NAME`."""

import signal
import sys

# While `python -m` imports a stage, nothing has been written: Ctrl-C ends it as SIGTERM does,
# without a traceback. `yelp_stars.pipeline.entrypoint` takes over afterwards.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
