#include "pair.h"

#include <stdlib.h>

#include "memory.h"

/* That there is memory is seen once: a check in each round would be counted, too. */
void bench_pair_loop(size_t bytes, uint64_t rounds)
{
    void *first = malloc(bytes);

    if (first == NULL)
        bench_out_of_memory("malloc");
    free(first);
    for (uint64_t i = 0; i < rounds; i++) {
        volatile char *block = malloc(bytes);

        *block = 1; // NOLINT(clang-analyzer-core.NullDereference): see above
        free((void *)block);
    }
}
