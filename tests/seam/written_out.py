#!/usr/bin/env python3
"""The seam costs nothing: the same machine code as with every operation of it written out by hand.

    written_out.py SOURCE_FOLDER COMPILER [--expect-difference]

Makes a copy of src in which each named operation of sync.h is replaced, in the text, by the C11 or pthread operation
that it stands for; compiles both; and compares, instruction by instruction, what malloc and free are made of. With
--expect-difference the copy gets one memory order too strong, and the comparison has to notice.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

# malloc and free as the thread cache serves them, and the free lists. Not what takes locks in long functions, arenas and
# depots: there, what is inlined and what comes first is decided by estimates of a function's size, before anything is
# simplified.
OBJECTS = ["api", "slowpath", "cache", "cache_bins", "cache_remote", "freelist", "freetree", "block"]
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-g0", "-DNDEBUG", "-fPIC", "-fvisibility=hidden", "-c"]
SEAM = {"sync.h", "sync_native.h", "sync.c"}

ATOMICS = {
    "hs_load_relaxed": "atomic_load_explicit({}, memory_order_relaxed)",
    "hs_load_acquire": "atomic_load_explicit({}, memory_order_acquire)",
    "hs_store_relaxed": "atomic_store_explicit({}, memory_order_relaxed)",
    "hs_store_release": "atomic_store_explicit({}, memory_order_release)",
    "hs_add_relaxed": "atomic_fetch_add_explicit({}, memory_order_relaxed)",
    "hs_or_relaxed": "atomic_fetch_or_explicit({}, memory_order_relaxed)",
    "hs_and_relaxed": "atomic_fetch_and_explicit({}, memory_order_relaxed)",
    "hs_exchange_acquire": "atomic_exchange_explicit({}, memory_order_acquire)",
    "hs_compare_exchange_release":
        "atomic_compare_exchange_weak_explicit({}, memory_order_release, memory_order_relaxed)",
}
OTHERS = {
    "hs_thread": "(&hs_thread_self)",
    "hs_fence_seq_cst": "atomic_thread_fence(memory_order_seq_cst)",
    "hs_addresses_leave": "(void)0",
    "hs_addresses_arrived": "(void)0",
}
# Functions of sync.h whose layers, ranks and the seam's half of a mutex, are written out in one body.
BODIES = {
    "hs_mutex_lock": """
    if (__builtin_expect(hs_thread_self.owns_every_lock, 0))
        return;
    if (__builtin_expect(pthread_mutex_trylock(&mutex->native) != 0, 0))
        hs_mutex_wait(mutex);
    atomic_store_explicit(&mutex->acquired, atomic_load_explicit(&mutex->acquired, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&mutex->holder, &hs_thread_self, memory_order_relaxed);
""",
    "hs_mutex_unlock": """
    if (__builtin_expect(hs_thread_self.owns_every_lock, 0))
        return;
    atomic_store_explicit(&mutex->holder, NULL, memory_order_relaxed);
    (void)pthread_mutex_unlock(&mutex->native);
""",
    "hs_mutex_try_lock": """
    if (__builtin_expect(hs_thread_self.owns_every_lock, 0))
        return true;
    if (pthread_mutex_trylock(&mutex->native) != 0)
        return false;
    atomic_store_explicit(&mutex->acquired, atomic_load_explicit(&mutex->acquired, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&mutex->holder, &hs_thread_self, memory_order_relaxed);
    return true;
""",
    "hs_mutex_assert_held": "\n    (void)mutex;\n",
}


def closing(text, opening):
    depth = 0
    for position in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    raise SystemExit("a call that does not end")


def written_out(text, counts):
    """The text with the calls of all operations replaced, the innermost ones too."""
    forms = {**ATOMICS, **OTHERS}
    pattern = re.compile(r"\b(" + "|".join(forms) + r")\(")
    result, at = "", 0
    while (match := pattern.search(text, at)) is not None:
        name, end = match[1], closing(text, match.end() - 1)
        arguments = written_out(text[match.end():end], counts)
        counts[name] = counts.get(name, 0) + 1
        form = forms[name]
        result += text[at:match.start()] + (form.format(arguments) if "{" in form else form)
        at = end + 1
    return result + text[at:]


def write_copy(source, folder, counts, spoil):
    for file in sorted(source.glob("*.[ch]")):
        text = file.read_text()
        if file.name == "sync.h":
            for function, body in BODIES.items():
                text, found = re.subn(rf"(?m)^(static inline \w+ {function}\([^{{]*\n)\{{\n(.|\n)*?^\}}$",
                                      lambda match: match[1] + "{" + body + "}", text)
                counts[function] = found
        elif file.name not in SEAM:
            text = written_out(text, counts)
        if spoil and file.name == "block.h":
            text = text.replace("memory_order_relaxed", "memory_order_seq_cst", 1)
        (folder / file.name).write_text(text)


def machine_code(compiler, folder, include, name):
    built = folder / f"{name}.o"
    subprocess.run([compiler, *FLAGS, f"-I{include}", "-o", built, folder / f"{name}.c"], check=True)
    text = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", built], check=True, capture_output=True,
                          text=True).stdout
    functions = {}
    for block in re.split(r"\n\n(?=[0-9a-f]+ <)", text)[1:]:
        head, *lines = block.splitlines()
        start = int(head.split()[0], 16)
        body = []
        for line in lines:
            # Places within the section, and addresses, are those of the layout.
            line = re.sub(r"^\s*([0-9a-f]+):", "", line)
            line = re.sub(r"\b([0-9a-f]+) <[^>]*?(\+0x[0-9a-f]+)?>", r"<\2>", line)
            body.append(line.strip())
        functions[re.search(r"<(.*)>", head)[1]] = (start, body)
    return {name: body for name, (_, body) in functions.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("compiler")
    parser.add_argument("--expect-difference", action="store_true")
    options = parser.parse_args()
    source, include = options.source / "src", options.source / "include"
    differing, compared, counts = [], 0, {}
    with tempfile.TemporaryDirectory() as name:
        folders = pathlib.Path(name) / "seam", pathlib.Path(name) / "out"
        for folder in folders:
            folder.mkdir()
        write_copy(source, folders[1], counts, options.expect_difference)
        for file in source.glob("*.[ch]"):
            (folders[0] / file.name).write_text(file.read_text())
        for unit in OBJECTS:
            codes = [machine_code(options.compiler, folder, include, unit) for folder in folders]
            for function in sorted(codes[0].keys() | codes[1].keys()):
                compared += 1
                if codes[0].get(function) != codes[1].get(function):
                    differing.append(f"{unit}.c: {function}")
    missing = [operation for operation in [*ATOMICS, *OTHERS, *BODIES] if not counts.get(operation)]
    if missing:
        raise SystemExit(f"not found in {source}, so not compared: {', '.join(missing)}")
    print(f"{compared} functions compared; {sum(counts.values())} operations written out: " +
          ", ".join(f"{operation} {count}" for operation, count in sorted(counts.items())))
    for line in differing:
        print(f"differs: {line}")
    return 0 if bool(differing) == options.expect_difference else 1


if __name__ == "__main__":
    sys.exit(main())
