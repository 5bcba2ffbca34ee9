"""Plots by gnuplot, as SVG."""
import shutil
import subprocess

COLOURS = {"heapster": "#c8233f", "glibc": "#777777", "jemalloc": "#2878b5", "mimalloc": "#e09c1b",
           "tcmalloc": "#2f9e6e"}
MORE_COLOURS = ["#7b4fa3", "#8c564b", "#17a2b8", "#b5338a", "#5b7f1d", "#3f3f9f", "#d2691e", "#008080"]
POINTS = [7, 5, 9, 11, 13, 4, 6, 8, 10, 12]
PIXELS_OF_A_ROW, PIXELS_AROUND, WIDTH = 17, 130, 900


class NoPlots(Exception):
    """gnuplot is missing, or refused."""


class NothingToPlot(Exception):
    """There is no figure that could be shown."""


def quote(text):
    return "'" + str(text).replace("'", "''") + "'"


def style_of(names):
    """Colour and point of each name: the known ones have their own, whoever else is there."""
    more = iter(MORE_COLOURS * (1 + len(names) // len(MORE_COLOURS)))
    return {name: (COLOURS.get(name) or next(more), POINTS[i % len(POINTS)]) for i, name in enumerate(names)}


def plot(path, script, height=480):
    """Runs gnuplot over a script whose terminal is an SVG file."""
    if shutil.which("gnuplot") is None:
        raise NoPlots("gnuplot is not installed")
    head = (f"set terminal svg size {WIDTH},{height} dynamic enhanced background '#ffffff' font 'sans-serif,12'\n"
            f"set encoding utf8\nset output {quote(path)}\nset key noenhanced\nset grid lc rgb '#dddddd'\n")
    result = subprocess.run(["gnuplot", "-"], input=head + script + "\nunset output\n", text=True, capture_output=True,
                            check=False)
    if result.returncode != 0 or "error" in result.stderr.lower():
        raise NoPlots(f"gnuplot: {result.stderr.strip()}")


def block(number, rows):
    lines = "\n".join(" ".join(str(value) for value in row) for row in rows)
    return f"$data{number} << EOD\n{lines}\nEOD\n"


def ratio_per_case(path, title, rows, names, metric):
    """A row for each case, a point for each allocator: how its median stands to that of the base."""
    styles = style_of(names)
    labels = [f"{row['name']}/{row['threads']}" if row["kind"] != "program" else row["name"] for row in rows]
    script, curves = "", []
    for number, name in enumerate(names):
        points = [(row["allocators"][name][metric]["to_base"], -place) for place, row in enumerate(rows)
                  if name in row["allocators"] and row["allocators"][name][metric]["to_base"]]
        if not points:
            continue
        colour, point = styles[name]
        size = 1.0 if name == "heapster" else 0.7
        script += block(number, points)
        curves.append(f"$data{number} using 1:2 with points pt {point} ps {size} lc rgb {quote(colour)} "
                      f"title {quote(name)}")
    if not curves:
        raise NothingToPlot
    tics = ", ".join(f"{quote(label)} {-place}" for place, label in enumerate(labels))
    script += (f"set title {quote(title)} noenhanced\nset logscale x 2\nset xlabel 'ratio, lower is better'\n"
               f"set ytics ({tics}) noenhanced\nset yrange [{-len(labels)}:1]\nset key outside top center horizontal\n"
               "set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb '#444444' dt 2\nset format x '%.3g'\n"
               "plot " + ", \\\n     ".join(curves))
    plot(path, script, PIXELS_AROUND + PIXELS_OF_A_ROW * len(labels))


def lines(path, title, xlabel, ylabel, series, settings=""):
    """series: {name: [(x, y)]}."""
    styles = style_of(list(series))
    script, curves = "", []
    for number, (name, points) in enumerate(series.items()):
        if not points:
            continue
        colour, point = styles[name]
        script += block(number, points)
        marks = f"linespoints pt {point} ps 0.7" if len(points) < 12 else "lines"
        curves.append(f"$data{number} using 1:2 with {marks} lw {3 if name == 'heapster' else 1.8} "
                      f"lc rgb {quote(colour)} title {quote(name)}")
    if not curves:
        raise NothingToPlot
    script += (f"set title {quote(title)} noenhanced\nset xlabel {quote(xlabel)}\nset ylabel {quote(ylabel)}\n"
               f"set key outside right\n{settings}\nplot " + ", \\\n     ".join(curves))
    plot(path, script)


def latency_tails(path, means, names):
    """From the median call to the slowest: geometric means over the workloads, as multiples of the base's."""
    percentiles = ["p50", "p99", "p99_9", "max"]
    series = {name: [(place, means[metric][name]) for place, metric in enumerate(percentiles)
                     if means.get(metric, {}).get(name)] for name in names}
    tics = ", ".join(f"{quote(metric.replace('_', '.'))} {place}" for place, metric in enumerate(percentiles))
    lines(path, "Latency of single calls, geometric mean over workloads", "", "ratio, lower is better", series,
          f"set xtics ({tics})\nset xrange [-0.3:3.3]\nset logscale y 2\nset format y '%.3g'")
