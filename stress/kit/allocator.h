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

/* A block of a walk through the heap. */
enum kit_block_state { KIT_BLOCK_LIVE, KIT_BLOCK_KEPT, KIT_BLOCK_FREE }; /* kept: in a cache, or in flight */
struct kit_walked {
    uintptr_t payload;
    size_t usable_bytes;
    size_t block_bytes; /* with what the allocator keeps before the payload */
    enum kit_block_state state;
    unsigned arena;
};

/* Called for each of them; must not allocate. */
typedef void kit_visit(const struct kit_walked *block, void *argument);

/* How often the locks of an arena were taken, and found taken by another thread. */
struct kit_contention {
    unsigned arena;
    uint64_t acquired, contended;
};

/* Called for each lock that is held, with its name and what `self` said in the thread that holds it. */
typedef void kit_held_lock(const char *name, const void *holder, void *argument);

struct kit_allocator {
    const char *name;
    bool is_heapster;       /* the functions of heapster.h speak of its blocks */
    size_t least_alignment; /* of every block */
    bool by_standard;       /* held to no more than C and POSIX demand; see kit_system */
    bool keeps_errno;       /* successful calls leave errno alone; free does so anyway (POSIX.1-2024) */
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
    uint64_t (*held_bytes)(void *context);          /* of the OS, in use or not */
    uint64_t (*kept_bytes)(void *context);          /* in threads' caches, and on the way back from there */
    void (*give_back)(void *context);               /* what the calling thread's cache holds */
    void (*give_all_back)(void *context);           /* that, and what belongs to no thread alone */
    bool (*trim)(void *context, size_t keep_bytes); /* gives unused memory back to the OS */
    unsigned (*contention)(void *context, struct kit_contention *out, unsigned room);

    /* For the watchdog, on a heap that may be locked for ever; may be NULL. */
    const void *(*self)(void *context);
    void (*held_locks)(void *context, kit_held_lock *visit, void *argument);

    /* Makes the calling thread allocate where the caller of `home` does; may be NULL. */
    void *(*home)(void *context);
    void (*settle)(void *context, void *home);
};

/* The functions of heapster.h. */
extern const struct kit_allocator kit_heapster;

/* The process's own malloc, whatever that is: libc's, or what was preloaded; named after the file it comes from. It is
 * held to what the standards demand: less than 16 bytes are aligned as their size demands (C23 7.24.3); what comes of a
 * request for 0 bytes is not judged, and nothing is resized to 0; aligned_alloc is asked for multiples of the alignment
 * (C11), free_aligned_sized frees what it gave, and nothing else (C23). No less than 8 bytes are asked for, the grain
 * of the oracle's shadow.
 * usable_size is NULL where that has no malloc_usable_size; the oracle cannot judge such an allocator. */
struct kit_allocator kit_system(void);

/* The same for blocks of one first-class arena, a struct heapster_arena. */
struct kit_allocator kit_heapster_arena(void *arena);

/* Lets Heapster have the break where libc's malloc serves the process (os.h), while nobody calls that under load; or
 * takes it back. */
void kit_heapster_use_break(bool may);

/* Whether threads have caches from now on. Before the first allocation of the process: a thread that has one keeps it.
 */
void kit_heapster_use_cache(bool may);

/* What the bins of the calling thread's cache hold; and the same with its run and all that is on its way elsewhere. */
uint64_t kit_heapster_own_bins_bytes(void);
uint64_t kit_heapster_own_kept_bytes(void);

/* What the depot of the calling thread's arena holds. */
uint64_t kit_heapster_depot_bytes(void);

/* The number of the arena that a block of no large size is of; and of the calling thread's. */
unsigned kit_heapster_arena_of(const void *payload);
unsigned kit_heapster_own_arena(void);

/* How long Heapster keeps free pages; returns how long it did so far. It has no such function of its own. */
uint64_t kit_heapster_set_decay_ms(uint64_t decay_ms);

#endif
