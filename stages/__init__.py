"""The stages: one script each, run as `python -m stages.NAME`."""

import importlib
import os
import sys

if sys.argv[:1] == ["-m"]:
    # `python -m` looks into the current folder first, or not at all with PYTHONSAFEPATH: then this
    # may be the package of another clone, which is installed. The project's code is that of this
    # folder; any other file of it, such as one's own evaluate.py, is never imported.
    folder = os.path.realpath(".")
    __path__ = [f"{folder}/stages"]
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != folder] + [folder]
    importlib.import_module("yelp_stars").__path__ = [f"{folder}/yelp_stars"]
    sys.path.pop()

    # While `python -m` imports a stage, nothing has been written: Ctrl-C ends it as SIGTERM does,
    # without a traceback. `yelp_stars.pipeline.entrypoint` takes over afterwards.
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
