/*
 * allocator: how a target begins that uses the allocator of its own process, all but fuzz_threads.
 */
#include "heap.h"
#include "target.h"

/* What hashes and the shape of trees are made with is drawn by each process; here it is one, so that inputs replay. */
#define KEY (UINT64_C(0x9E3779B97F4A7C15) | 1)

void fuzz_start_allocator(void)
{
    hs_heap_start();
    hs_block_key = KEY; /* no block is there yet */
}
