"""Real programs over their own small inputs: one second or so each, and the output has to be what it is with glibc."""
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

import child

INPUTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")


@dataclass
class Program:
    """command: {input} is the program's input, {count} how much of it there is. needs: what has to be installed."""
    name: str
    needs: list
    input: str
    count: int
    quick_count: int
    command: list
    environment: dict = field(default_factory=dict)
    written: bool = False   # the input is not the file itself, but what it prints for a count


PROGRAMS = [
    Program("python3", ["python3"], "python.py", 10000, 4000, ["python3", "{input}", "{count}"],
            {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}),
    Program("lua", ["lua5.4"], "lua.lua", 8000, 3500, ["lua5.4", "{input}", "{count}"]),
    Program("perl", ["perl"], "perl.pl", 14000, 7000, ["perl", "{input}", "{count}"], {"PERL_HASH_SEED": "0"}),
    Program("sqlite3", ["sqlite3"], "sqlite.sql", 300000, 120000,
            ["sqlite3", ":memory:", ".param set :count {count}", ".read {input}"]),
    Program("redis", ["redis-server", "redis-benchmark", "redis-cli"], "redis.sh", 40000, 12000,
            ["{input}", "{count}"]),
    Program("ghostscript", ["gs"], "ghostscript.ps", 20000, 8000,
            ["gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=ppmraw", "-r100", "-dCount={count}",
             "-sOutputFile=-", "{input}"]),
    Program("z3", ["z3"], "z3.py", 26, 22, ["z3", "{input}"], {}, True),
    Program("clang", ["clang++"], "clang.cpp", 2, 1,
            ["clang++", "-std=c++17", "-O1", "-DCOUNT={count}", "-S", "-o", "-", "{input}"]),
]


def available():
    """The programs that are installed, and for each that is not, its name and what it needs."""
    found, missing = [], []
    for program in PROGRAMS:
        absent = [need for need in program.needs if shutil.which(need) is None]
        if absent:
            missing.append({"name": program.name, "reason": f"not installed: {', '.join(absent)}"})
        else:
            found.append(program)
    return found, missing


def prepare(program, folder, count):
    """The command for one count; an input that has to be written first is written into the folder."""
    path = os.path.join(INPUTS, program.input)
    if program.written:
        written = os.path.join(folder, f"{program.name}.input")
        with open(written, "wb") as file:
            subprocess.run([sys.executable, path, str(count)], stdout=file, check=True)
        path = written
    return [part.format(input=path, count=count) for part in program.command]


def run(program, command, surroundings, allocator, expected):
    """Measures of one run. expected: the digest that its output has to have; None for the run that finds it out."""
    used = child.run(surroundings, command, allocator.library, {**program.environment, **allocator.environment})
    output = child.digest(used["output"])
    if expected is not None and output != expected:
        raise child.Failure("its output differs from that of the first run with glibc")
    return {"time": used["cpu_seconds"], "cpu": used["cpu_seconds"], "rss": used["peak_rss_bytes"],
            "wall_seconds": used["seconds"], "minor_faults": used["minor_faults"], "output": output}
