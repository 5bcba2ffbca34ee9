"""The machine that figures belong to."""
import datetime
import os
import platform
import re
import subprocess


def first_match(path, pattern, unknown="unknown"):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            match = re.search(pattern, file.read(), re.MULTILINE)
    except OSError:
        return unknown
    return match.group(1).strip() if match else unknown


def commit(folder):
    result = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty", "--exclude", "*"],
                            capture_output=True, text=True, check=False) if os.path.isdir(folder) else None
    return result.stdout.strip() if result and result.returncode == 0 else "unknown"


def describe():
    memory = first_match("/proc/meminfo", r"^MemTotal:\s+(\d+)", "0")
    return {
        "processor": first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)$"),
        "processors": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "memory": f"{int(memory) / 2**20:.1f} GiB",
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "system": first_match("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "huge_pages": first_match("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]"),
        "load": f"{os.getloadavg()[0]:.2f}",
        "commit": commit(os.path.dirname(os.path.abspath(__file__))),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }
