"""Processes that are waited for, each in a group of its own that ends as a whole; and how an end is asked for.

Ctrl-C, and SIGTERM likewise, comes as KeyboardInterrupt, but only out of a wait: what stands between two waits is done as
a whole. One that comes meanwhile is kept for the next wait."""
import contextlib
import os
import signal
import subprocess
import tempfile


class Requests:
    asked = False
    waiting = False


def listen():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)


def note(_number, _frame):
    if not Requests.waiting:
        Requests.asked = True
        return
    # No second one comes out of the same wait, whose end has to clean up.
    Requests.waiting = False
    raise KeyboardInterrupt


@contextlib.contextmanager
def wait():
    """Around what may take long, and may be left at any point."""
    Requests.waiting = True
    try:
        if Requests.asked:
            Requests.asked = False
            raise KeyboardInterrupt
        yield
    finally:
        Requests.waiting = False


def end_group(process):
    """Ends all that the process started, too: libFuzzer merges and minimises in children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def capture(command, seconds, folder=None):
    """Status and output; the status is None if it took too long."""
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              start_new_session=True, cwd=folder) as process:
            status = None
            try:
                with wait():
                    status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
            finally:
                end_group(process)
        output.seek(0)
        return status, output.read().decode(errors="replace")
