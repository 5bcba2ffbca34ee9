"""Tests of heapster-bench compare and strategies. Environment: BENCH, SCRIPTS, and the libraries SLOW and CRASH."""
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.environ["SCRIPTS"])

import child                      # noqa: E402
import compare_allocators         # noqa: E402
import compare_plan               # noqa: E402
import compare_summary            # noqa: E402
import programs                   # noqa: E402
import report_plots               # noqa: E402
import statistics_of_runs as numbers  # noqa: E402
import strategies                 # noqa: E402

BENCH = os.environ["BENCH"]
HEAPSTER = compare_allocators.one("heapster", os.path.join(os.path.dirname(os.path.dirname(BENCH)), "libheapster.so"))
WORKLOAD, SCALE = "pair_64", "0.004"


class Folder(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.surroundings = child.Surroundings(BENCH, self.folder, 60)

    def path(self, name):
        return os.path.join(self.folder, name)

    def bench(self, *arguments, status=0):
        result = subprocess.run([BENCH, *arguments], capture_output=True, text=True, check=False, cwd=self.folder)
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    def compare(self, *arguments):
        """The JSON of a short comparison, and what it printed."""
        result = self.bench("compare", "--workloads", WORKLOAD, "--threads", "1", "--scale", SCALE, "--json",
                            self.path("result.json"), *arguments)
        with open(self.path("result.json"), encoding="utf-8") as file:
            return json.load(file), result


class Statistics(unittest.TestCase):
    """Against numbers worked out by hand."""

    def test_median(self):
        self.assertEqual(numbers.median([3, 1, 2]), 2)
        self.assertEqual(numbers.median([4, 1, 3, 2]), 2.5)
        self.assertEqual(numbers.median([7]), 7)

    def test_spread(self):
        self.assertEqual(numbers.spread([10, 8, 14]), 0.6)
        self.assertEqual(numbers.spread([0, 0]), 0)

    def test_ratio(self):
        self.assertEqual(numbers.ratio(3, 2), 1.5)
        self.assertIsNone(numbers.ratio(3, 0))
        self.assertIsNone(numbers.ratio(3, None))

    def test_geometric_mean(self):
        self.assertAlmostEqual(numbers.geometric_mean([0.5, 2]), 1)
        self.assertAlmostEqual(numbers.geometric_mean([1, 10, 100]), 10)
        self.assertIsNone(numbers.geometric_mean([]))

    def test_ranks(self):
        self.assertEqual(numbers.ranks({"a": 2, "b": 1, "c": 2, "d": 3}), {"a": 2, "b": 1, "c": 2, "d": 4})


class Order(Folder):
    """What is run when."""

    CASES = [compare_plan.Case("workload", name, 1) for name in "abcdef"]

    def test_each_counted_run_follows_a_discarded_one_of_the_same(self):
        steps = compare_plan.steps(self.CASES, ["x", "y", "z"], 5, 1)
        self.assertEqual(len(steps), 2 * 5 * 6 * 3)
        for discarded, counted in zip(steps[::2], steps[1::2]):
            self.assertTrue(discarded.discarded)
            self.assertFalse(counted.discarded)
            self.assertEqual((discarded.case, discarded.allocator, discarded.round),
                             (counted.case, counted.allocator, counted.round))

    def test_each_round_holds_each_pair_once(self):
        steps = compare_plan.steps(self.CASES, ["x", "y", "z"], 4, 2)
        for number in range(4):
            pairs = [(step.case, step.allocator) for step in steps if step.round == number and not step.discarded]
            self.assertEqual(len(pairs), 18)
            self.assertEqual(len(set(pairs)), 18)

    def test_the_seed_decides_and_rounds_differ(self):
        first = compare_plan.steps(self.CASES, ["x", "y"], 2, 1)
        self.assertEqual(first, compare_plan.steps(self.CASES, ["x", "y"], 2, 1))
        self.assertNotEqual(first, compare_plan.steps(self.CASES, ["x", "y"], 2, 2))
        orders = [[(step.case, step.allocator) for step in first if step.round == number] for number in range(2)]
        self.assertNotEqual(*orders)

    def test_the_runs_keep_to_the_plan(self):
        result, _ = self.compare("--allocators", "glibc,heapster", "--rounds", "2", "--seed", "5", "--quiet")
        ran = [(run["kind"], run["name"], run["allocator"], run["round"], run["discarded"]) for run in result["runs"]]
        cases = [compare_plan.Case(kind, WORKLOAD, 1) for kind in ("workload", "latency")]
        planned = compare_plan.steps(cases, ["glibc", "heapster"], 2, 5)
        self.assertEqual(ran, [(step.case.kind, step.case.name, step.allocator, step.round, step.discarded)
                               for step in planned])

    def test_no_round_is_begun_that_would_end_too_late(self):
        result, output = self.compare("--allocators", "glibc", "--rounds", "400", "--no-latency", "--minutes", "0.02")
        self.assertLess(result["rounds"], 400)
        self.assertEqual(result["summary"]["rows"][0]["allocators"]["glibc"]["runs"], result["rounds"])
        self.assertIn(f"{result['rounds']} of 400 rounds fit", output.stderr)


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Child(Folder):
    """One process: bounded, and measured by itself."""

    def test_peak_is_not_the_parents(self):
        ballast = bytearray(os.urandom(64 << 20))
        used = child.run(self.surroundings, ["true"])
        self.assertGreater(used["peak_rss_bytes"], 0)
        self.assertLess(used["peak_rss_bytes"], len(ballast) // 2)

    def test_descendants_count(self):
        used = child.run(self.surroundings, ["sh", "-c", f"'{sys.executable}' -c 'x = b\"1\" * (50 << 20)'; true"])
        self.assertGreater(used["peak_rss_bytes"], 50 << 20)
        self.assertGreater(used["cpu_seconds"], 0)

    def test_status(self):
        with self.assertRaisesRegex(child.Failure, "ended with status 3: because"):
            child.run(self.surroundings, ["sh", "-c", "echo because >&2; exit 3"])

    def test_signal(self):
        with self.assertRaisesRegex(child.Failure, "ended by SIGABRT"):
            child.run(self.surroundings, ["sh", "-c", "kill -ABRT $$"])

    def test_time_limit_reaches_descendants(self):
        self.surroundings.seconds = 1
        with self.assertRaisesRegex(child.Failure, "took more than 1 s"):
            child.run(self.surroundings, ["sh", "-c", "sleep 321 & echo $! >&2; sleep 321"])
        with open(self.path("errors"), encoding="utf-8") as file:
            descendant = int(file.read())
        limit = time.monotonic() + 20
        while is_alive(descendant) and time.monotonic() < limit:
            time.sleep(0.05)
        self.assertFalse(is_alive(descendant))

    def test_no_result(self):
        used = child.run(self.surroundings, ["true"])
        with self.assertRaisesRegex(child.Failure, "printed no result"):
            child.last_line(used["output"])

    def test_surroundings_of_the_caller_stay_out(self):
        os.environ["HEAPSTER_OPTIONS"] = "cache=off"
        self.addCleanup(os.environ.pop, "HEAPSTER_OPTIONS")
        used = child.run(self.surroundings, ["env"], None, {"GIVEN": "yes"})
        with open(used["output"], encoding="utf-8") as file:
            names = {line.partition("=")[0] for line in file}
        self.assertIn("GIVEN", names)
        self.assertNotIn("HEAPSTER_OPTIONS", names)


class Allocators(Folder):
    """Which libraries are there."""

    def test_missing_ones_are_named_and_left_out(self):
        result, output = self.compare("--allocators", "glibc,absent=/nowhere/lib.so,other=libnowhere.so.9,unknown",
                                      "--rounds", "1")
        self.assertEqual([entry["name"] for entry in result["missing"]], ["absent", "other", "unknown"])
        self.assertEqual([entry["name"] for entry in result["allocators"]], ["glibc"])
        for text in ("absent: there is no /nowhere/lib.so", "libnowhere.so.9", "unknown: known are"):
            self.assertIn(text, output.stderr)
            self.assertIn(text, output.stdout)

    def test_none_is_an_error(self):
        self.bench("compare", "--allocators", "absent=/nowhere/lib.so", status=2)

    def test_variants(self):
        found, missing = compare_allocators.find_all(
            ["glibc"], ["small@glibc:MALLOC_ARENA_MAX=1;X=a=b,c", "bad", "lost@jemalloc:A=1", "glibc@glibc:A=1"], "")
        self.assertEqual(found[1].environment, {"MALLOC_ARENA_MAX": "1", "X": "a=b,c"})
        self.assertEqual((found[1].role, found[1].library), ("variant", found[0].library))
        self.assertEqual([entry["name"] for entry in missing], ["bad", "lost@jemalloc", "glibc@glibc"])

    def test_a_variant_runs_with_its_environment(self):
        result, _ = self.compare("--allocators", "heapster", "--variant", "odd:HEAPSTER_OPTIONS=strategy=worst",
                                 "--rounds", "1", "--no-latency")
        self.assertEqual([entry["name"] for entry in result["allocators"]], ["heapster", "odd"])
        self.assertEqual(result["summary"]["rows"][0]["failures"], {})

    def test_a_variant_without_effect_is_a_failure(self):
        result, _ = self.compare("--allocators", "heapster", "--variant", "odd:HEAPSTER_OPTIONS=nonsense=1",
                                 "--rounds", "1", "--no-latency")
        self.assertIn("unknown option: nonsense=1", result["summary"]["rows"][0]["failures"]["odd"])

    def test_unknown_workload(self):
        self.bench("compare", "--allocators", "glibc", "--workloads", "absent", status=2)


def made_run(kind, name, allocator, discarded=False, **measures):
    return {"kind": kind, "name": name, "threads": 1, "allocator": allocator, "round": 0, "discarded": discarded,
            "measures": measures}


class Summary(unittest.TestCase):
    """Rows and means from runs whose figures are known."""

    ALLOCATORS = [{"name": "heapster", "role": "heapster"}, {"name": "glibc", "role": "peer"},
                  {"name": "other", "role": "peer"}]

    def summary(self, failing=None):
        times = {"a": {"heapster": 6, "glibc": 8, "other": 4}, "b": {"heapster": 2, "glibc": 16, "other": 32}}
        runs = []
        for name, of in times.items():
            for allocator, time in of.items():
                runs.append(made_run("workload", name, allocator, True, time=1000, cpu=1000, rss=1000))
                runs += [made_run("workload", name, allocator, time=time + more, cpu=time, rss=100)
                         for more in (-1, 0, 1)]
        if failing is not None:
            runs.append({**made_run("workload", failing, "other"), "failure": "ended by SIGSEGV"})
        return compare_summary.summarise(runs, self.ALLOCATORS)

    def test_row(self):
        row = self.summary()["rows"][0]
        shown = row["allocators"]["heapster"]
        self.assertEqual(shown["runs"], 3)
        self.assertEqual(shown["time"], {"median": 6, "spread": 2 / 6, "rank": 2, "to_base": 0.75, "to_best_peer": 1.5})

    def test_means(self):
        means = self.summary()["means"]["workloads"]
        self.assertAlmostEqual(means["means"]["time"]["heapster"], (0.75 * 0.125) ** 0.5)
        self.assertAlmostEqual(means["means"]["time"]["other"], 1)
        self.assertEqual(means["best_peer"]["time"], "glibc")
        self.assertEqual((means["rows"], means["left_out"]), (2, 0))

    def test_a_failure_takes_its_case_out_of_all_means(self):
        summary = self.summary("b")
        means = summary["means"]["workloads"]
        self.assertEqual((means["rows"], means["left_out"]), (1, 1))
        self.assertAlmostEqual(means["means"]["time"]["heapster"], 0.75)
        self.assertEqual([(entry["name"], entry["allocator"]) for entry in summary["failures"]], [("b", "other")])

    def test_the_worst_case_against_peers(self):
        worst = compare_summary.slowest_against_peers(self.summary(), "heapster")
        self.assertEqual(worst["name"], "a")


class Slow(Folder):
    """An allocator that is slower comes out as slower."""

    def test_slow(self):
        result, output = self.compare("--allocators", f"glibc,slow={os.environ['SLOW']}", "--rounds", "5")
        row = result["summary"]["rows"][0]
        self.assertEqual(row["allocators"]["slow"]["runs"], 5)
        self.assertGreater(row["allocators"]["slow"]["time"]["to_base"], 1.5)
        self.assertEqual(row["allocators"]["slow"]["time"]["rank"], 2)
        self.assertGreater(result["summary"]["means"]["all"]["means"]["time"]["slow"], 1.5)
        self.assertGreater(result["summary"]["means"]["latency"]["means"]["p99"]["slow"], 1.2)
        self.assertIn("slow", output.stdout)


class Crash(Folder):
    """An allocator that crashes is said to, and enters no mean."""

    def test_crash(self):
        result, output = self.compare("--allocators", f"glibc,crash={os.environ['CRASH']}", "--rounds", "2")
        failures = result["summary"]["failures"]
        self.assertEqual({(entry["allocator"], entry["kind"]) for entry in failures},
                         {("crash", "workload"), ("crash", "latency")})
        self.assertIn("SIGSEGV", failures[0]["reason"])
        means = result["summary"]["means"]["all"]
        self.assertEqual((means["rows"], means["left_out"]), (0, 1))
        self.assertIn("failed, its case left out of all means: crash in pair_64/1", output.stdout)
        self.assertEqual(sum(run["allocator"] == "crash" and run["kind"] == "workload" for run in result["runs"]), 1)


class Report(Folder):
    """The files are what they say they are."""

    def test_files(self):
        folder = self.path("report")
        result, output = self.compare("--allocators", f"heapster,glibc,slow={os.environ['SLOW']}", "--rounds", "1",
                                      "--report", folder)
        with open(os.path.join(folder, "report.md"), encoding="utf-8") as file:
            markdown = file.read()
        for row in result["summary"]["rows"]:
            self.assertIn(f"| {row['name']}/{row['threads']} |", markdown)
        for name in ("heapster", "glibc", "slow"):
            self.assertIn(f" {name} ", markdown)
        for name in ("time.svg", "memory.svg", "tails.svg", "latency.svg"):
            if "gnuplot is not installed" in output.stderr:
                self.assertIn(f"no plot {name}", output.stderr)
                continue
            self.assertIn(f"]({name})", markdown)
            root = xml.etree.ElementTree.parse(os.path.join(folder, name)).getroot()
            self.assertTrue(root.tag.endswith("svg"))
            self.assertIn("heapster", "".join(root.itertext()))

    def test_progress(self):
        _, output = self.compare("--allocators", "glibc", "--rounds", "1", "--no-latency", "--quiet")
        self.assertEqual(output.stderr, "")

    def test_what_cannot_be_written(self):
        self.bench("compare", "--allocators", "glibc", "--workloads", WORKLOAD, "--threads", "1", "--scale", SCALE,
                   "--rounds", "1", "--json", "/dev/null/x", status=1)

    def test_a_refused_plot_is_an_error(self):
        with self.assertRaises(report_plots.NoPlots):
            report_plots.plot(self.path("x.svg"), "plot nonsense nonsense")


class Programs(Folder):
    """Real programs, judged by their output."""

    GLIBC = compare_allocators.Allocator("glibc", "peer", compare_allocators.locate("libc.so.6"))
    PERL = next(program for program in programs.PROGRAMS if program.name == "perl")

    def test_output_is_compared(self):
        command = programs.prepare(self.PERL, self.folder, 20)
        measures = programs.run(self.PERL, command, self.surroundings, self.GLIBC, None)
        again = programs.run(self.PERL, command, self.surroundings, self.GLIBC, measures["output"])
        self.assertGreater(again["time"], 0)
        self.assertGreater(again["rss"], 1 << 20)
        with self.assertRaisesRegex(child.Failure, "its output differs"):
            programs.run(self.PERL, programs.prepare(self.PERL, self.folder, 21), self.surroundings, self.GLIBC,
                         measures["output"])

    def test_all_work(self):
        found, _ = programs.available()
        small = {"python3": 200, "lua": 200, "perl": 200, "sqlite3": 500, "redis": 300, "ghostscript": 500, "z3": 6,
                 "clang": 0}
        for program in found:
            with self.subTest(program.name):
                command = programs.prepare(program, self.folder, small[program.name])
                measures = programs.run(program, command, self.surroundings, self.GLIBC, None)
                programs.run(program, command, self.surroundings, HEAPSTER, measures["output"])

    def test_missing_ones_are_named(self):
        path = os.environ["PATH"]
        self.addCleanup(os.environ.__setitem__, "PATH", path)
        os.environ["PATH"] = self.folder
        found, missing = programs.available()
        self.assertEqual(found, [])
        self.assertEqual([entry["name"] for entry in missing], [program.name for program in programs.PROGRAMS])


class Strategies(Folder):
    """All four, with and without the cache."""

    def test_each_strategy_with_and_without_the_cache(self):
        options = [each.environment["HEAPSTER_OPTIONS"] for each in strategies.configurations("library")]
        self.assertEqual(sorted(options), sorted(f"strategy={strategy},cache={cache}" for cache in ("on", "off")
                                                 for strategy in ("first", "next", "best", "worst")))

    def test_table(self):
        folder = self.path("report")
        output = self.bench("strategies", "--workloads", "batch_random", "--threads", "2", "--scale", "0.005",
                            "--rounds", "1", "--json", self.path("result.json"), "--report", folder, "--quiet")
        with open(self.path("result.json"), encoding="utf-8") as file:
            result = json.load(file)
        names = [f"{strategy}{cache}" for strategy in ("first", "next", "best", "worst")
                 for cache in ("", ", cache off")]
        self.assertEqual([line[0] for line in result["tables"]["batch_random"][1]], names)
        self.assertEqual(result["summary"]["failures"], [])
        for name in names:
            self.assertIn(name, output.stdout)
        with open(os.path.join(folder, "strategies.md"), encoding="utf-8") as file:
            self.assertIn("| worst, cache off |", file.read())
        for name in os.listdir(folder):
            if name.endswith(".svg"):
                xml.etree.ElementTree.parse(os.path.join(folder, name))


if __name__ == "__main__":
    unittest.main()
