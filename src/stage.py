"""Run a stage with the code beside this file, in a queued experiment its own: `python src/stage.py train`."""

import os
import runpy
import sys
from pathlib import Path

from dopsd.support.quiet import quiet

quiet()  # in workers, too
if __name__ == "__main__":  # workers of a stage import this file, too
    name = sys.argv.pop(1)
    others = [p for p in [os.environ.get("PYTHONPATH")] if p]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *others])  # of kernels and cluster jobs
    runpy.run_module(f"dopsd.stages.{name}", run_name="__main__")
