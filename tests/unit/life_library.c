/*
 * A library for life.c: it allocates when it is loaded, frees when it is unloaded, and hands a block over that outlives
 * it.
 */
#include <stdlib.h>
#include <string.h>

#include "heapster.h"

static char *from_load_to_unload;

__attribute__((constructor)) static void at_load(void)
{
    from_load_to_unload = heapster_malloc(2000);
    if (from_load_to_unload == NULL)
        abort();
    memset(from_load_to_unload, 1, 2000);
}

__attribute__((destructor)) static void at_unload(void)
{
    heapster_free(from_load_to_unload);
    heapster_free(heapster_malloc(100));
}

char *hand_over(unsigned seed);

char *hand_over(unsigned seed)
{
    char *block = heapster_malloc(700);

    if (block != NULL)
        memset(block, (int)seed, 700);
    return block;
}
