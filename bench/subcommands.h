/*
 * Subcommands that live in files of their own. Each is given all arguments of the program, its own name as argv[1],
 * and returns the program's exit status.
 */
#ifndef BENCH_SUBCOMMANDS_H
#define BENCH_SUBCOMMANDS_H

/* Scripts, found in share/heapster/bench beside the folder of this program; they end in the calling process's place. */
int bench_compare(int argc, char **argv);
int bench_strategies(int argc, char **argv);

/* One command, bounded in time, with what it and its descendants used; see child.c. */
int bench_child(int argc, char **argv);

#endif
