"""The one place that says how kernels are compiled.

`kernel` is for plain loops, and the right choice unless a benchmark says
otherwise.  `lanes` is for one branch-free `prange` body: numba marks the arrays
of such a body as not overlapping, so it becomes vector code.  No reduction in it,
and one numba thread per process: cores are used by processes.

The flags are the same everywhere, so that a result never depends on which
file a function happens to live in.  fastmath stays off: the privacy proof
needs bit-identical runs, and NaN is our "not heard".

numba does not notice an edited callee in another file.  Kernels import only
their own folder and this one, so the compile cache of a folder is named after
the sources of both; an edit anywhere in them starts a fresh cache.
"""

import hashlib
import os
import sys
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path

os.environ["NUMBA_NUM_THREADS"] = "1"  # cores are used by processes; numba reads it when it is imported

import numba

prange = numba.prange


@cache
def cache_dir(room: Path) -> Path:
    """Return the cache folder for the kernels of one source folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = Path(os.environ.get("FOOTFALL_CACHE_DIR") or Path(home, "footfall"))
    base, compiler = Path(__file__).parent, f"{sys.version} {numba.__version__}"
    sources = digest([base / "jit.py", base / "streams.py", *sorted(room.glob("*.py"))], compiler)
    return root / f"{room.parent.name}-{room.name}-{sources}"


def digest(sources: Iterable[Path], beside: str = "") -> str:
    """Return 16 hex digits over source files, their names, and what else matters."""
    found = hashlib.sha256(beside.encode())
    for path in sources:
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def kernel(function, **flags):
    """Compile a plain loop."""
    numba.config.CACHE_DIR = str(cache_dir(Path(function.__code__.co_filename).parent))  # type: ignore[attr-defined]
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=False, **flags)(function)


# A plain loop that makes no array, and keeps no count of references either: where small
# functions hand many arrays to each other, counting took two thirds of the time.
bare = partial(kernel, _nrt=False)
lanes = partial(kernel, parallel=True)  # one branch-free prange body, to vector code
