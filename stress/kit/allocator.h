/*
 * allocator: the allocator under test, as a table of functions.
 *
 * The kit calls nothing of the malloc family but through such a table, so the same oracle judges Heapster, one of its
 * first-class arenas, or a deliberately broken allocator (stress/selftest, which is how the oracle itself is tested:
 * hand kit_run another table).
 *
 * Functions that may be NULL say so; the kit then does without.
 */
#ifndef KIT_ALLOCATOR_H
#define KIT_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

/* Called for each block of a walk; must not allocate. */
typedef void kit_visit(uintptr_t address, size_t usable_bytes, bool is_live, void *argument);

struct kit_allocator {
    const char *name;
    size_t least_alignment; /* of every block */
    bool keeps_errno;       /* successful calls leave errno alone */
    bool may_refuse;        /* has little memory: NULL with ENOMEM is no violation */
    void *context;          /* the first argument of each function */

    void *(*malloc)(void *context, size_t bytes);
    void *(*calloc)(void *context, size_t count, size_t bytes);
    void *(*realloc)(void *context, void *ptr, size_t bytes);
    void *(*aligned_alloc)(void *context, size_t alignment, size_t bytes);
    int (*posix_memalign)(void *context, void **out, size_t alignment, size_t bytes); /* or NULL */
    void *(*memalign)(void *context, size_t alignment, size_t bytes);                 /* or NULL */
    void (*free)(void *context, void *ptr);
    void (*free_sized)(void *context, void *ptr, size_t bytes);                           /* or NULL */
    void (*free_aligned_sized)(void *context, void *ptr, size_t alignment, size_t bytes); /* or NULL */
    size_t (*usable_size)(void *context, void *ptr);

    /* The heap as a whole; each may be NULL. Findings are added to the text, one line for each. */
    void (*check)(void *context, bool at_rest, struct kit_text *findings);
    void (*check_statistics)(void *context, struct kit_text *findings);
    void (*walk)(void *context, kit_visit *visit, void *argument);
    uint64_t (*used_blocks)(void *context);

    /* Makes the calling thread allocate where the caller of `home` does; may be NULL. */
    void *(*home)(void *context);
    void (*settle)(void *context, void *home);
};

/* The functions of heapster.h. */
extern const struct kit_allocator kit_heapster;

/* The same for blocks of one first-class arena, a struct heapster_arena. */
struct kit_allocator kit_heapster_arena(void *arena);

/* How long Heapster keeps free pages; returns how long it did so far. It has no such function of its own. */
uint64_t kit_heapster_set_decay_ms(uint64_t decay_ms);

#endif
