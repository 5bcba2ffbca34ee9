#include "tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static void *map(void *at, size_t bytes)
{
    int where = at != NULL ? MAP_FIXED_NOREPLACE : 0;
    void *base = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | where, -1, 0);

    if (base == MAP_FAILED || (at != NULL && base != at)) {
        (void)fprintf(stderr, "heapster-explore: no memory%s\n",
                      at != NULL ? " at the addresses of the explored process" : "");
        exit(2);
    }
    return base;
}

void *tables_map(size_t bytes)
{
    return map(NULL, bytes);
}

void *tables_map_huge(void *at, size_t bytes)
{
    void *base = map(at, bytes);

    (void)madvise(base, bytes, MADV_HUGEPAGE);
    return base;
}
