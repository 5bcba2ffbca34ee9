/* pair: a loop for counting the instructions of malloc and free, as a slope between two lengths. */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include <stddef.h>
#include <stdint.h>

void bench_pair_loop(size_t bytes, uint64_t rounds);

#endif
