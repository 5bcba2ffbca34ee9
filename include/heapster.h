/*
 * Heapster: a general-purpose allocator with boundary tags, arenas and explicit free lists.
 *
 * Units: every size is in bytes unless its name says otherwise. Thread safety: every function may be called by
 * any thread at any time unless its comment says otherwise; none may be called from a signal handler that
 * interrupted an allocator call. Errors: functions that return a pointer return NULL and set errno to ENOMEM
 * where there is no memory; successful calls leave errno as it was.
 *
 * Misuse (a double free, a foreign or interior pointer, an overwritten tag, a wrong size) prints one line
 *     heapster: <what>: <address> (<found>, expected <expected>)
 * on standard error and aborts; with the option abort=off the call is ignored instead.
 */
#ifndef HEAPSTER_H
#define HEAPSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEAPSTER_API __attribute__((visibility("default")))
#define HEAPSTER_ALLOCATES __attribute__((malloc, warn_unused_result))
#define HEAPSTER_SIZED(n) __attribute__((alloc_size(n)))
#define HEAPSTER_SIZED_BY(n, m) __attribute__((alloc_size(n, m)))

#define HEAPSTER_VERSION_MAJOR 0
#define HEAPSTER_VERSION_MINOR 1
#define HEAPSTER_VERSION_PATCH 0

/* ---- the malloc family -------------------------------------------------------------------------------------
 * Blocks are aligned to 16 bytes and are interchangeable between these names and the standard ones. */

/* At least `bytes` bytes of unspecified content; a distinct block for 0 bytes. C11 7.22.3.4. */
HEAPSTER_API void *heapster_malloc(size_t bytes) HEAPSTER_ALLOCATES HEAPSTER_SIZED(1);

/* count * bytes zeroed bytes; ENOMEM where the product overflows. C11 7.22.3.2. */
HEAPSTER_API void *heapster_calloc(size_t count, size_t bytes) HEAPSTER_ALLOCATES HEAPSTER_SIZED_BY(1, 2);

/* Resizes in place where it can. realloc(NULL, n) is malloc(n); realloc(p, 0) with p != NULL frees p and returns
 * NULL, as glibc does. On failure `ptr` stays valid. C11 7.22.3.5. */
HEAPSTER_API void *heapster_realloc(void *ptr, size_t bytes) __attribute__((warn_unused_result)) HEAPSTER_SIZED(2);

/* realloc(ptr, count * bytes); ENOMEM where the product overflows. glibc, POSIX.1-2024. */
HEAPSTER_API void *heapster_reallocarray(void *ptr, size_t count, size_t bytes) __attribute__((warn_unused_result))
HEAPSTER_SIZED_BY(2, 3);

/* Gives a block back; NULL is ignored; errno is kept. C11 7.22.3.3, POSIX.1-2024. */
HEAPSTER_API void heapster_free(void *ptr);

/* free(ptr), where `bytes` is what malloc, calloc or realloc was asked for; another size is a misuse. C23 7.24.3.4. */
HEAPSTER_API void heapster_free_sized(void *ptr, size_t bytes);

/* free(ptr), where `alignment` and `bytes` are what aligned_alloc was asked for. C23 7.24.3.5. */
HEAPSTER_API void heapster_free_aligned_sized(void *ptr, size_t alignment, size_t bytes);

/* `alignment` is a power of two, otherwise EINVAL; `bytes` need not be a multiple of it. C11 7.22.3.1. */
HEAPSTER_API void *heapster_aligned_alloc(size_t alignment, size_t bytes) HEAPSTER_ALLOCATES HEAPSTER_SIZED(2);

/* Returns 0, EINVAL (alignment not a power of two or no multiple of sizeof(void *)) or ENOMEM; errno and, on
 * failure, *out are left alone. POSIX.1-2008. */
HEAPSTER_API int heapster_posix_memalign(void **out, size_t alignment, size_t bytes)
    __attribute__((warn_unused_result));

/* An alignment that is no power of two is rounded up to the next one, as glibc does; EINVAL where there is none. */
HEAPSTER_API void *heapster_memalign(size_t alignment, size_t bytes) HEAPSTER_ALLOCATES HEAPSTER_SIZED(2);

/* Aligned to a page. valloc: 4.3BSD; pvalloc also rounds the size up to whole pages (one at least): glibc. */
HEAPSTER_API void *heapster_valloc(size_t bytes) HEAPSTER_ALLOCATES HEAPSTER_SIZED(1);
HEAPSTER_API void *heapster_pvalloc(size_t bytes) HEAPSTER_ALLOCATES;

/* The bytes that may be used at `ptr`, at least as many as asked for; 0 for NULL. Compilers know how many were asked
 * for: with _FORTIFY_SOURCE=3 a program that uses more may be ended. glibc's malloc_usable_size. */
HEAPSTER_API size_t heapster_usable_size(const void *ptr);

/* ---- strategies and tuning --------------------------------------------------------------------------------- */

/* Which free block serves a request; "order" is that of the free lists by size, and within a list newest first. */
enum heapster_strategy {
    HEAPSTER_FIRST_FIT, /* the first that fits, from the first list that can hold one */
    HEAPSTER_NEXT_FIT,  /* the same from where the last search ended, around once */
    HEAPSTER_BEST_FIT,  /* the smallest that fits; of equal ones the newest */
    HEAPSTER_WORST_FIT  /* the largest; of equal ones the newest */
};

/* For all arenas but first-class ones, from the next search on. Returns 0, or EINVAL for an unknown strategy.
 * Takes every list lock of one arena after the other; costs O(n log n) in the free blocks where it enters or
 * leaves best fit. */
HEAPSTER_API int heapster_set_strategy(enum heapster_strategy strategy);
HEAPSTER_API enum heapster_strategy heapster_get_strategy(void);

/* Requests of at least this many bytes get a mapping of their own. Those beyond 255 MiB always do. */
HEAPSTER_API void heapster_set_mmap_threshold(size_t bytes);
HEAPSTER_API size_t heapster_get_mmap_threshold(void);

/* Returns unused memory to the OS at once: the top of the break above `keep_bytes`, regions that are wholly free,
 * pages inside free blocks. Returns true if anything was returned. */
HEAPSTER_API bool heapster_trim(size_t keep_bytes);

/* ---- looking at the heap ----------------------------------------------------------------------------------- */

struct heapster_stats {
    uint64_t allocations;   /* blocks that arenas handed out since the start, to programs and to threads' caches */
    uint64_t frees;         /* and those that came back: what goes in and out of a cache counts once */
    uint64_t used_bytes;    /* in live blocks of the program, their tags included */
    uint64_t used_blocks;   /* how many those are */
    uint64_t free_bytes;    /* in free blocks of all arenas */
    uint64_t free_blocks;   /* how many those are */
    uint64_t largest_free;  /* bytes of the largest of them */
    uint64_t region_bytes;  /* address space that arenas hold */
    uint64_t region_count;  /* in how many regions */
    uint64_t large_bytes;   /* in mappings of large blocks; these count as used, too */
    uint64_t large_blocks;  /* how many those are */
    uint64_t arena_count;   /* arenas made so far, first-class ones included */
    uint64_t splits;        /* blocks cut in two */
    uint64_t coalesces;     /* pairs of neighbours merged */
    uint64_t retreats;      /* publications taken back because two neighbours met (see docs/design.md) */
    uint64_t os_sbrk_calls; /* calls of the OS, failed ones included */
    uint64_t os_mmap_calls;
    uint64_t os_munmap_calls;
    uint64_t os_mremap_calls;
    uint64_t os_madvise_calls;
    uint64_t os_purged_bytes; /* given back by madvise since the start */
    /* Of the locks of arenas, of their free lists and depots, and of the sets of large blocks: how often one was taken,
     * and how often a thread had to wait for it. Reading the statistics takes each of them but the depots' once. The
     * counters of a first-class arena end with it, so that these two may go back. */
    uint64_t lock_acquisitions;
    uint64_t lock_contentions;
    uint64_t cached_blocks; /* what threads' caches hold: neither used nor free */
    uint64_t cached_bytes;
    uint64_t remote_frees;   /* blocks freed by a thread of another arena, and sent back to their own in batches */
    uint64_t remote_batches; /* how many */
    /* An estimate: cache lines written that other threads write, too. malloc and free that are served by the calling
     * thread's cache write none. */
    uint64_t shared_lines_written;
};

/* A sum over all arenas, each read under its locks; exact when no other thread allocates. */
HEAPSTER_API void heapster_stats(struct heapster_stats *out);

enum heapster_format { HEAPSTER_TEXT, HEAPSTER_JSON };

/* Writes the statistics to a file descriptor by write(2); does not allocate. Returns 0, or the errno of a failed
 * write. */
HEAPSTER_API int heapster_stats_print(int fd, enum heapster_format format);

enum heapster_block_state {
    HEAPSTER_BLOCK_USED,      /* owned by the program */
    HEAPSTER_BLOCK_CACHED,    /* owned by a thread's cache */
    HEAPSTER_BLOCK_IN_FLIGHT, /* being freed, split or merged by some thread at this moment */
    HEAPSTER_BLOCK_FREE,      /* on a free list */
    HEAPSTER_BLOCK_LARGE      /* owned by the program, in a mapping of its own */
};

struct heapster_block_info {
    const void *payload;
    size_t usable_bytes;
    size_t block_bytes; /* with its tag, or the whole mapping of a large block */
    enum heapster_block_state state;
    unsigned arena; /* 0 to 253; 254 for large blocks, 255 for first-class arenas */
};

/* Calls `visit` for every block of the heap, arena by arena, each arena held still under all its locks; stops
 * when `visit` returns false. `visit` must not call any function of the malloc family. Returns the number of
 * blocks visited. */
typedef bool heapster_visit(const struct heapster_block_info *block, void *context);
HEAPSTER_API size_t heapster_walk(heapster_visit *visit, void *context);

enum heapster_check_mode {
    HEAPSTER_CHECK_RUNNING, /* tags, lists, regions: may be called while other threads allocate */
    HEAPSTER_CHECK_AT_REST  /* byte accounting and blocks in flight as well: no other thread may be allocating */
};

/* Verifies the numbered invariants of the heap (they stand in the headers under src/). `report` may be NULL; it is
 * called for each broken one with its number ("B2"), the address where it was seen and a sentence; it must not call
 * any function of the malloc family. Returns how many were broken, 0 for a sound heap. */
typedef void heapster_report(const char *invariant, const void *address, const char *text, void *context);
HEAPSTER_API size_t heapster_check(enum heapster_check_mode mode, heapster_report *report, void *context);

/* ---- first-class arenas ------------------------------------------------------------------------------------- */

/* Where an arena's memory comes from. The functions run under the arena's lock: they must not call any function of
 * the malloc family, under whichever name. Memory of this heap may be handed out if it was allocated before. */
struct heapster_os_hooks {
    /* `bytes` of memory of any content, aligned to 16 bytes, or NULL. `bytes` is a multiple of 64 KiB. */
    void *(*map)(size_t bytes, void *context);
    /* Takes back what one call of map returned. Never called for a part of it. */
    void (*unmap)(void *base, size_t bytes, void *context);
    void *context;
};

struct heapster_arena_config {
    enum heapster_strategy strategy;
    void *buffer;                          /* the only memory of the arena, or NULL; never purged */
    size_t buffer_bytes;                   /* 128 to 256 MiB - 64 KiB */
    const struct heapster_os_hooks *hooks; /* copied; or NULL for mmap and munmap; ignored with a buffer */
};

typedef struct heapster_arena heapster_arena;

/* A new arena; `config` NULL means first fit on mmap. EINVAL for a bad strategy, buffer or hooks; ENOMEM. */
HEAPSTER_API heapster_arena *heapster_arena_create(const struct heapster_arena_config *config);

/* As the malloc family; heapster_free, free, realloc and usable_size take these blocks, too. A realloc stays in the
 * arena of the block whichever name is used. Requests beyond 255 MiB fail in an arena with a buffer or hooks. */
HEAPSTER_API void *heapster_arena_malloc(heapster_arena *arena, size_t bytes) HEAPSTER_ALLOCATES HEAPSTER_SIZED(2);
HEAPSTER_API void *heapster_arena_calloc(heapster_arena *arena, size_t count, size_t bytes)
    HEAPSTER_ALLOCATES HEAPSTER_SIZED_BY(2, 3);
HEAPSTER_API void *heapster_arena_realloc(heapster_arena *arena, void *ptr, size_t bytes)
    __attribute__((warn_unused_result)) HEAPSTER_SIZED(3);
HEAPSTER_API void *heapster_arena_aligned_alloc(heapster_arena *arena, size_t alignment, size_t bytes)
    HEAPSTER_ALLOCATES HEAPSTER_SIZED(3);

/* Returns 0 or EINVAL. As heapster_set_strategy, for this arena alone. */
HEAPSTER_API int heapster_arena_set_strategy(heapster_arena *arena, enum heapster_strategy strategy);

/* Frees every block of the arena and the arena itself at once. No other thread may be using either. */
HEAPSTER_API void heapster_arena_destroy(heapster_arena *arena);

#ifdef __cplusplus
}
#endif
#endif
