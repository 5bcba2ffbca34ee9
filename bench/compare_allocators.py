"""The allocators that are compared: by name or as a library, and Heapster again with other options."""
import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass, field

# glibc's is preloaded too, so that a program that is linked with another one runs with it.
PEERS = {
    "glibc": "libc.so.6",
    "jemalloc": "libjemalloc.so.2",
    "mimalloc": "libmimalloc.so.2.0",
    "tcmalloc": "libtcmalloc_minimal.so.4",
}
KNOWN = ["heapster", *PEERS]


@dataclass
class Allocator:
    """role: heapster, variant (of Heapster, with another environment) or peer."""
    name: str
    role: str
    library: str
    environment: dict = field(default_factory=dict)
    version: str = ""

    def as_dict(self):
        return asdict(self)


class Missing(Exception):
    """There is no such library; the text says what was looked for."""


def locate(library):
    """The path under which the dynamic linker would preload a library, without running any of its code."""
    if "/" in library:
        library = os.path.abspath(library)
        if not os.path.exists(library):
            raise Missing(f"there is no {library}")
    program = os.path.realpath(shutil.which("cat"))
    environment = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_PRELOAD": library, "LC_ALL": "C"}
    loaded = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    for line in loaded.stdout.splitlines():
        match = re.match(r"\s*(\S+)(?: => (\S+))? \(0x", line)
        if match and match.group(1) == library:
            return os.path.abspath(match.group(2) or match.group(1))
    reason = loaded.stderr.strip().splitlines()
    raise Missing(reason[0] if reason else f"{library} is not loaded")


def version_of(path):
    """The package and version that a library belongs to, or nothing where no package manager knows."""
    query = shutil.which("dpkg-query")
    if query is None:
        return ""
    # Where /lib is a link to /usr/lib, the package may know the file by either name.
    for name in {os.path.realpath(path), path, os.path.realpath(path).replace("/usr/lib/", "/lib/")}:
        owner = subprocess.run([query, "-S", name], capture_output=True, text=True, check=False)
        if owner.returncode == 0:
            package = owner.stdout.split(": ")[0].split(",")[0]
            shown = subprocess.run([query, "-W", "-f", "${Package} ${Version}", package], capture_output=True,
                                   text=True, check=False)
            return shown.stdout.strip()
    return ""


def one(word, heapster_library):
    """An allocator by its known name, or name=path."""
    name, _, path = word.partition("=")
    if not path and name not in KNOWN:
        raise Missing(f"known are {', '.join(KNOWN)}; any other as NAME=PATH")
    library = path or PEERS.get(name, heapster_library)
    role = "heapster" if name == "heapster" else "peer"
    found = locate(library)
    return Allocator(name, role, found, {}, version_of(found))


def variant(text, allocators):
    """NAME[@BASE]:VARIABLE=VALUE[;VARIABLE=VALUE...]: BASE, by default heapster, with an environment."""
    head, _, settings = text.partition(":")
    name, _, base_name = head.partition("@")
    environment = dict(setting.partition("=")[::2] for setting in settings.split(";"))
    bases = [allocator for allocator in allocators if allocator.name == (base_name or "heapster")]
    if not name or not settings or "" in environment:
        raise Missing("a variant is NAME[@BASE]:VARIABLE=VALUE[;VARIABLE=VALUE...]")
    if not bases:
        raise Missing(f"{base_name or 'heapster'} is not among the allocators")
    return Allocator(name, "variant", bases[0].library, environment, bases[0].version)


def find_all(words, variants, heapster_library):
    """The allocators that are there, and for each that is not, its name and why."""
    found, missing = [], []
    makers = [(lambda word: one(word, heapster_library), words), (lambda text: variant(text, found), variants)]
    for make, texts in makers:
        for text in texts:
            name = text.partition("=")[0].partition(":")[0]
            try:
                allocator = make(text)
                if any(other.name == allocator.name for other in found):
                    raise Missing("this name stands twice")
                found.append(allocator)
            except Missing as reason:
                missing.append({"name": name, "reason": str(reason)})
    return found, missing
