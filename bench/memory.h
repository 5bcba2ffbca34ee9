/*
 * memory: what the bench needs for itself comes straight from mmap and is there before the clock starts, so that the
 * allocator measured serves nothing but the workload.
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stddef.h>

enum { BENCH_EXIT_USAGE = 2, BENCH_EXIT_NO_MEMORY = 3 };

/* Zeroed pages, already touched. Ends the process with status 3 where there are none. */
void *bench_pages_map(size_t bytes);
void bench_pages_unmap(void *base, size_t bytes);

/* The most of them that there were at any time. */
size_t bench_pages_most(void);

/* Says which allocator call, or what else, found no memory, and ends the process with status 3. */
_Noreturn void bench_out_of_memory(const char *what);

#endif
