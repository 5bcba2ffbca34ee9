#!/usr/bin/env python3
"""Runs fuzz targets, two at a time, adds up what they did, and says of each crash how to see it again. See ci/fuzz."""
import argparse
import os
import random
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "ci", "fuzzing"))

import account as accounts  # noqa: E402
import children             # noqa: E402
import crash                # noqa: E402
import target as targets    # noqa: E402

SAVE_SECONDS = 5
LATE_SECONDS = 120
INTERRUPTED = 130
PAGE = "docs/verification.md"


def say(text=""):
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Who listened has ended, by the same Ctrl-C maybe: what is to be saved is saved all the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Screen:
    """A line for each running target: drawn over on a terminal, else every ten seconds."""

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.drawn = 0
        self.next = 0

    def draw(self, lines):
        if not self.terminal:
            if time.monotonic() >= self.next:
                self.next = time.monotonic() + 10
                for line in lines:
                    say(line)
            return
        self.clear()
        for line in lines:
            say(line)
        self.drawn = len(lines)

    def clear(self):
        if self.drawn:
            sys.stdout.write(f"\033[{self.drawn}F\033[J")
            self.drawn = 0


def line_of(name, run):
    figures = run.figures()
    begin = f"{name:<18} {run.elapsed():6.0f}/{run.seconds} s"
    if not figures:
        return f"{begin}  reading the corpus"
    return (f"{begin} {figures['rate']:>8,} exec/s "
            f"{figures['executions']:>13,} executions {figures['edges']:>6,} edges {figures['inputs']:>6,} inputs")


class Session:
    """All that one call of ci/fuzz does."""

    def __init__(self, arguments, found):
        self.arguments = arguments
        self.account = accounts.Account(arguments.account, arguments.committed)
        self.waiting = [(target, self.seconds_for(target)) for target in found]
        self.waiting = [(target, seconds) for target, seconds in self.waiting if seconds > 0]
        self.running = []
        self.unkept = []
        self.screen = Screen()
        self.failed = []
        self.ended = 0

    def seconds_for(self, target):
        if self.arguments.total is None:
            return self.arguments.seconds
        return max(0, int(self.arguments.total - self.account.of(target.name)["seconds"] + 0.999))

    def start(self):
        by_processor = self.arguments.total is not None
        while self.waiting and len(self.running) < self.arguments.jobs:
            target, seconds = self.waiting.pop(0)
            seed = self.arguments.seed or random.randrange(1, 1 << 31)
            self.running.append({"target": target, "saved": 0, "counted": accounts.SUMS,
                                 "run": targets.Run(target, seconds, seed, by_processor)})
            self.unkept.append(target)

    def save(self, job):
        """Adds to the account what was done since the last time."""
        figures = job["run"].figures() or {}
        done = {"runs": 1, "seconds": job["run"].used,
                "executions": max(figures.get("executions", 0), job["counted"]["executions"])}
        self.account.add(job["target"].name, accounts.added(done, job["counted"], -1),
                         {name: figures[name] for name in accounts.LAST if name in figures})
        job["counted"] = done
        job["saved"] = time.monotonic()

    def record(self, job):
        """What one that ended did, and its crash, if it had one, which is returned: all that must not be lost."""
        target, run = job["target"], job["run"]
        self.running.remove(job)
        self.save(job)
        if not run.crashed():
            say(line_of(target.name, run))
            return None
        self.failed.append(target.name)
        found = crash.found_by(run)
        self.account.add_crashes(target.name, [found])
        job["raw"] = self.keep_raw(target, run)
        say(line_of(target.name, run))
        say(f"\n== {target.name}: CRASH: {found['what']}")
        return found

    def poll(self):
        """One look at all that run; those that ended are reaped."""
        lines = []
        for job in list(self.running):
            run = job["run"]
            if run.poll() is not None:
                self.screen.clear()
                self.end(job)
                continue
            if run.elapsed() > run.seconds + LATE_SECONDS:
                run.stop(is_late=True)
            if time.monotonic() - job["saved"] > SAVE_SECONDS:
                self.save(job)
            lines.append(line_of(job["target"].name, run))
        self.screen.draw(lines)

    def end(self, job):
        target = job["target"]
        self.ended += 1
        found = self.record(job)
        if found:
            triage = crash.Triage(target, job["run"], self.arguments.minimise, self.arguments.keep)
            triage.do()
            say("\n".join(triage.lines) + "\n")
            self.enter(target, found, triage.crashes, job["raw"])
        trouble = target.keep() if self.arguments.keep else ""
        self.unkept.remove(target)
        count, more_trouble = target.prune()
        committed = sum(len(targets.files_of(folder)) for folder in target.seeds())
        self.account.add(target.name, {}, {"inputs": count + committed})
        say(f"{target.name}: {trouble or more_trouble or f'{committed} inputs committed, {count} beyond them'}")

    def keep_raw(self, target, run):
        """With --keep, the input as it was found goes into the regressions; its path if it was not there before."""
        path = run.artifact()
        if path is None or not self.arguments.keep:
            return None
        kept, is_new = crash.keep(target, path)
        return kept if is_new else None

    def enter(self, target, found, crashes, raw):
        """What triage made of a crash takes the place of what was found; other bugs are crashes of their own."""
        for made in crashes:
            if made["bug"] == found["bug"]:
                self.account.improve_crash(target.name, found, made)
                if raw and made["input"] != os.path.basename(raw):
                    os.remove(raw)
        self.account.add_crashes(target.name, crashes)

    def stop(self):
        """Everybody ends, what they did so far counts, and what crashed is kept as it was found."""
        self.screen.clear()
        for job in self.running:
            job["run"].interrupt()
        for job in list(self.running):
            job["run"].stop()
            self.record(job)
        try:
            self.keep_inputs()
        except KeyboardInterrupt:
            say(f"interrupted again: inputs that are not committed yet are in {self.arguments.work}/corpus")
        say(f"interrupted; accounted for in {self.arguments.account}")

    def keep_inputs(self):
        """With --keep, of those that had no end of their own."""
        for target in self.unkept if self.arguments.keep else []:
            say(f"{target.name}: {target.keep() or 'kept; another interrupt does without the rest'}")

    def run(self):
        if not self.waiting:
            say("nothing left to run: every target has its total")
        status = self.fuzz()
        if self.arguments.keep:
            self.account.keep()
            report(self.account, self.arguments)
        if self.failed:
            say(f"\nfuzz: FAILED: {', '.join(self.failed)}")
        if status or self.failed:
            return status or 1
        say(f"\nfuzz: passed, {self.ended} targets")
        return 0

    def fuzz(self):
        """All that waits, until it ended: 0, or what a session ends with that was told to end."""
        try:
            while self.waiting or self.running:
                self.start()
                self.poll()
                with children.wait():
                    time.sleep(0.2)
        except KeyboardInterrupt:
            self.stop()
            return INTERRUPTED
        return 0


def report(account, options):
    text = accounts.section(account)
    accounts.write_section(os.path.join(options.tree, options.report or PAGE), text)
    return text


def parse(arguments):
    parser = argparse.ArgumentParser(prog="ci/fuzz", description=__doc__.split(" See ")[0])
    parser.add_argument("names", nargs="*", metavar="TARGET", help="with fuzz_ or without; all of them by default")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    amount.add_argument("--total", type=int,
                        help="run each target until the account says so many seconds of the processor")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer; by default another each time")
    parser.add_argument("--minimise", type=int, default=20, help="seconds for minimising a crash (default 20)")
    parser.add_argument("--keep", action="store_true",
                        help="new inputs, crashes and the account go into fuzz/, the report into the page")
    parser.add_argument("--list", action="store_true", help="print the targets")
    parser.add_argument("--report", nargs="?", const=PAGE, metavar="PAGE",
                        help=f"write the account into the page (default {PAGE}), and run nothing")
    parser.add_argument("--tree", default=ROOT, help="where fuzz/ lies")
    parser.add_argument("--binaries", default=os.path.join(ROOT, "build", "fuzz", "bin"))
    parser.add_argument("--work", default=os.path.join(ROOT, "build", "fuzz"))
    parser.add_argument("--account", help="the file of the account (default account.json of the folder of work)")
    options = parser.parse_args(arguments)
    for number in ("seconds", "jobs", "minimise"):
        if getattr(options, number) < 1:
            parser.error(f"--{number} must be at least 1")
    for folder in ("tree", "binaries", "work"):
        setattr(options, folder, os.path.abspath(getattr(options, folder)))
    options.account = os.path.abspath(options.account or os.path.join(options.work, "account.json"))
    options.committed = os.path.join(options.tree, "fuzz", "account.json")
    return parser, options


def main(arguments):
    parser, options = parse(arguments)
    if options.report:
        account = accounts.Account(options.account, options.committed)
        if not account.targets:
            parser.error(f"nothing was accounted for in {options.account}")
        say(report(account, options))
        return 0
    try:
        found = targets.find_targets(options.tree, options.binaries, options.work, options.names)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        say("\n".join(target.name for target in found))
        return 0
    children.listen()
    return Session(options, found).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
