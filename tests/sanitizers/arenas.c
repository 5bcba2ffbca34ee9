/* The same with first-class arenas, on mmap, in a buffer, and on a caller's own functions. */
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "heapster.h"

enum { BUFFER_BYTES = 100000 };

static heapster_arena *arena_in(char *buffer)
{
    struct heapster_arena_config config = {
        .strategy = HEAPSTER_BEST_FIT, .buffer = buffer, .buffer_bytes = BUFFER_BYTES};
    heapster_arena *arena = heapster_arena_create(buffer != NULL ? &config : NULL);

    require(arena != NULL, "an arena is made");
    return arena;
}

static void arena_overflow(void)
{
    heapster_arena *arena = arena_in(NULL);
    char *block = heapster_arena_malloc(arena, 33);

    block[32] = 1;
    block[unforeseen(33)] = 1; /* fault */
    heapster_arena_destroy(arena);
}

static void arena_use_after_free(void)
{
    heapster_arena *arena = arena_in(NULL);
    char *block = heapster_arena_calloc(arena, 1, 300);

    heapster_free(block);
    *(volatile char *)block = 1; /* fault */
    heapster_arena_destroy(arena);
}

static void arena_uninitialised(void)
{
    heapster_arena *arena = arena_in(NULL);
    char *block = heapster_arena_aligned_alloc(arena, 64, 64);

    decide_by(block + unforeseen(63));
    heapster_arena_destroy(arena);
}

static char buffer[BUFFER_BYTES];

static void buffer_overflow(void)
{
    heapster_arena *arena = arena_in(buffer);
    char *block = heapster_arena_malloc(arena, 40);

    block[unforeseen(40)] = 1; /* fault */
    heapster_arena_destroy(arena);
}

/* While the arena is there, all of the buffer is its own. */
static void buffer_not_allocated(void)
{
    heapster_arena *arena = arena_in(buffer);

    buffer[unforeseen(BUFFER_BYTES / 2)] = 1; /* fault */
    heapster_arena_destroy(arena);
}

static void buffer_use_after_free(void)
{
    heapster_arena *arena = arena_in(buffer);
    char *block = heapster_arena_malloc(arena, 400);

    heapster_free(block);
    *(volatile char *)(block + 200) = 1; /* fault */
    heapster_arena_destroy(arena);
}

static void buffer_is_given_back(void)
{
    for (int round = 0; round < 3; round++) {
        heapster_arena *arena = arena_in(buffer);
        char *kept = heapster_arena_malloc(arena, 100), *freed = heapster_arena_malloc(arena, 100);

        memset(kept, 1, 100);
        memset(freed, 1, 100);
        heapster_free(freed);
        heapster_arena_destroy(arena);
        memset(buffer, 1, sizeof buffer);
    }
}

/* An arena in a block of the heap. */
static void buffer_in_block(void)
{
    for (int round = 0; round < 3; round++) {
        char *block = heapster_malloc(BUFFER_BYTES);
        heapster_arena *arena = arena_in(block);
        char *inner = heapster_arena_calloc(arena, 1, 1000);

        inner = heapster_realloc(inner, 2000);
        require(inner != NULL, "there is memory");
        decide_by(inner + 999);
        memset(inner, 1, 2000);
        heapster_arena_destroy(arena);
        memset(block, 1, BUFFER_BYTES);
        heapster_free(block);
    }
}

static void *map_by_malloc(size_t bytes, void *context)
{
    void *base = malloc(bytes);

    ++*(int *)context;
    return base;
}

static void unmap_by_free(void *base, size_t bytes, void *context)
{
    memset(base, 1, bytes);
    --*(int *)context;
    free(base);
}

static heapster_arena *arena_on_hooks(int *maps)
{
    const struct heapster_os_hooks hooks = {map_by_malloc, unmap_by_free, maps};
    const struct heapster_arena_config config = {.strategy = HEAPSTER_FIRST_FIT, .hooks = &hooks};
    heapster_arena *arena = heapster_arena_create(&config);

    require(arena != NULL, "an arena is made");
    return arena;
}

static void hooks_overflow(void)
{
    int maps = 0;
    heapster_arena *arena = arena_on_hooks(&maps);
    char *block = heapster_arena_malloc(arena, 1000);

    block[unforeseen(1000)] = 1; /* fault */
    heapster_arena_destroy(arena);
}

static void hooks_get_their_memory_back(void)
{
    int maps = 0;
    heapster_arena *arena = arena_on_hooks(&maps);
    char *block = heapster_arena_calloc(arena, 1, 1000);

    require(maps > 0, "memory comes from the hook");
    memset(heapster_arena_malloc(arena, 300000), 1, 300000);
    heapster_free(block);
    heapster_arena_destroy(arena);
    require(maps == 0, "memory goes back to the hook");
}

/* What an arena holds ends with it: nothing of that is a leak. */
static void destroyed_arena_leaks_nothing(void)
{
    for (int round = 0; round < 3; round++) {
        heapster_arena *arena = arena_in(NULL);

        for (size_t bytes = 1; bytes < 3000000; bytes *= 3)
            memset(heapster_arena_malloc(arena, bytes), 1, bytes);
        heapster_arena_destroy(arena);
    }
}

#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }

const struct fault_case arena_cases[] = {
    CASE(arena_overflow),
    CASE(arena_use_after_free),
    CASE(arena_uninitialised),
    CASE(buffer_overflow),
    CASE(buffer_not_allocated),
    CASE(buffer_use_after_free),
    CASE(buffer_is_given_back),
    CASE(buffer_in_block),
    CASE(hooks_overflow),
    CASE(hooks_get_their_memory_back),
    CASE(destroyed_arena_leaks_nothing),
    {NULL, NULL},
};
