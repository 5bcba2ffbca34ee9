#include "broken.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pages.h"
#include "rng.h"

enum { HEADER_BYTES = 64, LEAST_SHIFT = 5, SHIFTS = 32, LIVE_MAX = 1 << 16, FIRST_STRIKE = 500, STRIKE_EVERY = 97 };

#define HEAP_BYTES ((size_t)8 << 30)

struct chunk {
    struct chunk *next; /* where it is free */
};

struct header {
    struct chunk *chunk;
    unsigned shift; /* of the chunk */
    unsigned live_index;
    size_t bytes;
    size_t asked; /* usable_size calls so far */
    size_t excess_bytes;
};

_Static_assert(sizeof(struct header) <= HEADER_BYTES, "a header fits before its payload");

static struct {
    pthread_mutex_t lock;
    enum fault fault;
    uint64_t calls, hash;
    char *base;
    size_t used_bytes;
    struct chunk *free_chunks[SHIFTS];
    void *live[LIVE_MAX];
    unsigned live_count;
    uint64_t leaked;
    void *newest;
} heap = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const fault_names[FAULTS] = {
    [FAULT_NONE] = "none",
    [FAULT_OVERLAP] = "overlap",
    [FAULT_TWICE] = "twice",
    [FAULT_LOST_CONTENT] = "lost_content",
    [FAULT_MISALIGNED] = "misaligned",
    [FAULT_DIRTY_CALLOC] = "dirty_calloc",
    [FAULT_LOST_PREFIX] = "lost_prefix",
    [FAULT_SHORT] = "short",
    [FAULT_CHANGING_SIZE] = "changing_size",
    [FAULT_ERRNO] = "errno",
    [FAULT_REFUSAL] = "refusal",
    [FAULT_MEMALIGN_STATUS] = "memalign_status",
    [FAULT_REALLOC_TO_ZERO] = "realloc_to_zero",
    [FAULT_LEAK] = "leak",
    [FAULT_CHECK] = "check",
    [FAULT_CHECK_AT_REST] = "check_at_rest",
    [FAULT_STATISTICS] = "statistics",
    [FAULT_WALK] = "walk",
    [FAULT_ABORT] = "abort",
    [FAULT_HANG] = "hang",
    [FAULT_HANG_AT_REST] = "hang_at_rest",
};

enum fault fault_named(const char *name)
{
    unsigned fault = 0;

    while (fault < FAULTS && strcmp(fault_names[fault], name) != 0)
        fault++;
    return (enum fault)fault;
}

static struct header *header_of(void *payload)
{
    return (struct header *)((char *)payload - HEADER_BYTES);
}

/* Counts a call, and says whether the fault strikes in it. */
static bool strikes(enum fault fault)
{
    return heap.fault == fault && heap.calls > FIRST_STRIKE && heap.calls % STRIKE_EVERY == 0;
}

static void count_call(unsigned which, size_t bytes)
{
    heap.calls++;
    heap.hash = kit_scramble(heap.hash ^ ((uint64_t)which << 56) ^ bytes);
}

/* ---- blocks, under the lock ----------------------------------------------------------------------------------------
 */

static struct chunk *take_chunk(unsigned shift)
{
    struct chunk *chunk = heap.free_chunks[shift];

    if (chunk != NULL) {
        heap.free_chunks[shift] = chunk->next;
        return chunk;
    }
    if (heap.used_bytes + ((size_t)1 << shift) > HEAP_BYTES)
        return NULL;
    chunk = (struct chunk *)(heap.base + heap.used_bytes);
    heap.used_bytes += (size_t)1 << shift;
    return chunk;
}

static void give_chunk(struct chunk *chunk, unsigned shift)
{
    chunk->next = heap.free_chunks[shift];
    heap.free_chunks[shift] = chunk;
}

static void *take_block(size_t alignment, size_t bytes)
{
    unsigned shift = LEAST_SHIFT;
    struct header *header;
    uintptr_t payload;
    struct chunk *chunk;

    alignment = alignment < 16 ? 16 : alignment;
    while (((size_t)1 << shift) < bytes + alignment + HEADER_BYTES)
        shift++;
    chunk = take_chunk(shift);
    if (chunk == NULL || heap.live_count == LIVE_MAX)
        return NULL;
    payload = ((uintptr_t)chunk + HEADER_BYTES + alignment - 1) & ~(alignment - 1);
    if (strikes(FAULT_MISALIGNED))
        payload += 8;
    header = header_of((char *)chunk + (payload - (uintptr_t)chunk));
    *header = (struct header){.chunk = chunk, .shift = shift, .live_index = heap.live_count, .bytes = bytes};
    heap.newest = (char *)header + HEADER_BYTES;
    heap.live[heap.live_count++] = heap.newest;
    return heap.newest;
}

static void drop_block(void *payload)
{
    struct header *header = header_of(payload);
    void *last = heap.live[--heap.live_count];

    if (strikes(FAULT_LEAK))
        heap.leaked++;
    heap.live[header->live_index] = last;
    header_of(last)->live_index = header->live_index;
    if (payload == heap.newest)
        heap.newest = NULL;
    give_chunk(header->chunk, header->shift);
}

static void *allocate_locked(size_t alignment, size_t bytes)
{
    if (strikes(FAULT_ABORT))
        abort();
    while (strikes(FAULT_HANG))
        (void)pause();
    if (strikes(FAULT_ERRNO))
        errno = ENOENT;
    if (strikes(FAULT_REFUSAL)) {
        errno = ENOMEM;
        return NULL;
    }
    if (strikes(FAULT_TWICE) && heap.newest != NULL)
        return heap.newest;
    return take_block(alignment, bytes);
}

/* ---- the table -----------------------------------------------------------------------------------------------------
 */

enum { CALL_MALLOC, CALL_CALLOC, CALL_REALLOC, CALL_ALIGNED, CALL_POSIX, CALL_FREE, CALL_USABLE };

static void *allocate(unsigned which, size_t alignment, size_t bytes, bool zeroed)
{
    void *payload;

    (void)pthread_mutex_lock(&heap.lock);
    count_call(which, bytes);
    payload = allocate_locked(alignment, bytes);
    if (zeroed && payload != NULL && !strikes(FAULT_DIRTY_CALLOC))
        memset(payload, 0, bytes);
    (void)pthread_mutex_unlock(&heap.lock);
    return payload;
}

static void *broken_malloc(void *context, size_t bytes)
{
    (void)context;
    return allocate(CALL_MALLOC, 16, bytes, false);
}

static void *broken_calloc(void *context, size_t count, size_t bytes)
{
    (void)context;
    return allocate(CALL_CALLOC, 16, count * bytes, true);
}

static void *broken_aligned_alloc(void *context, size_t alignment, size_t bytes)
{
    (void)context;
    return allocate(CALL_ALIGNED, alignment, bytes, false);
}

static int broken_posix_memalign(void *context, void **out, size_t alignment, size_t bytes)
{
    (void)context;
    *out = allocate(CALL_POSIX, alignment, bytes, false);
    return heap.fault == FAULT_MEMALIGN_STATUS ? EINVAL : 0;
}

static void broken_free(void *context, void *payload)
{
    (void)context;
    (void)pthread_mutex_lock(&heap.lock);
    count_call(CALL_FREE, header_of(payload)->bytes);
    drop_block(payload);
    (void)pthread_mutex_unlock(&heap.lock);
}

static void *broken_realloc(void *context, void *old, size_t bytes)
{
    size_t kept_bytes = old != NULL ? header_of(old)->bytes : 0;
    void *payload;

    if (old != NULL && bytes == 0) {
        broken_free(context, old);
        return heap.fault == FAULT_REALLOC_TO_ZERO ? old : NULL;
    }
    payload = allocate(CALL_REALLOC, 16, bytes, false);
    if (payload == NULL || old == NULL)
        return payload;
    kept_bytes = kept_bytes < bytes ? kept_bytes : bytes;
    if (heap.fault == FAULT_LOST_PREFIX && kept_bytes > 0)
        kept_bytes--;
    memcpy(payload, old, kept_bytes);
    broken_free(context, old);
    return payload;
}

static size_t broken_usable_size(void *context, void *payload)
{
    struct header *header = header_of(payload);
    size_t bytes = header->bytes;

    (void)context;
    (void)pthread_mutex_lock(&heap.lock);
    count_call(CALL_USABLE, bytes);
    if (strikes(FAULT_OVERLAP) && header->asked == 0)
        header->excess_bytes = 4096;
    bytes += header->excess_bytes;
    if (strikes(FAULT_SHORT) && bytes > 0)
        bytes--;
    if (strikes(FAULT_CHANGING_SIZE) && header->asked > 0)
        bytes++;
    header->asked++;
    /* Not while realloc's new block is being judged; and the caller owns it, so no other thread can be looking. */
    if (strikes(FAULT_LOST_CONTENT) && header->asked > 1 && bytes > 0)
        ((unsigned char *)payload)[bytes / 2] ^= 1;
    (void)pthread_mutex_unlock(&heap.lock);
    return bytes;
}

/* ---- the heap as a whole -------------------------------------------------------------------------------------------
 */

static void broken_check(void *context, bool at_rest, struct kit_text *findings)
{
    (void)context;
    while (heap.fault == FAULT_HANG_AT_REST && at_rest)
        (void)pause();
    if ((heap.fault == FAULT_CHECK && !at_rest) || (heap.fault == FAULT_CHECK_AT_REST && at_rest))
        kit_text_add(findings, "  X1 is broken\n");
}

static void broken_statistics(void *context, struct kit_text *findings)
{
    (void)context;
    if (heap.fault == FAULT_STATISTICS)
        kit_text_add(findings, "  more frees than allocations\n");
}

static void broken_walk(void *context, kit_visit *visit, void *argument)
{
    (void)context;
    (void)pthread_mutex_lock(&heap.lock);
    for (unsigned i = heap.fault == FAULT_WALK ? 1 : 0; i < heap.live_count; i++) {
        size_t bytes = header_of(heap.live[i])->bytes;
        struct kit_walked walked = {
            .payload = (uintptr_t)heap.live[i],
            .usable_bytes = bytes,
            .block_bytes = bytes + HEADER_BYTES,
            .state = KIT_BLOCK_LIVE,
        };

        visit(&walked, argument);
    }
    (void)pthread_mutex_unlock(&heap.lock);
}

static uint64_t broken_used_blocks(void *context)
{
    uint64_t blocks;

    (void)context;
    (void)pthread_mutex_lock(&heap.lock);
    blocks = heap.live_count + heap.leaked;
    (void)pthread_mutex_unlock(&heap.lock);
    return blocks;
}

uint64_t broken_call_hash(void)
{
    return heap.hash;
}

struct kit_allocator broken_allocator(enum fault fault)
{
    if (heap.base == NULL)
        heap.base = kit_pages_map(HEAP_BYTES);
    memset(heap.free_chunks, 0, sizeof heap.free_chunks);
    heap.fault = fault;
    heap.calls = heap.hash = heap.used_bytes = heap.leaked = 0;
    heap.live_count = 0;
    return (struct kit_allocator){
        .name = "broken",
        .least_alignment = 16,
        .keeps_errno = true,
        .malloc = broken_malloc,
        .calloc = broken_calloc,
        .realloc = broken_realloc,
        .aligned_alloc = broken_aligned_alloc,
        .posix_memalign = broken_posix_memalign,
        .free = broken_free,
        .usable_size = broken_usable_size,
        .check = broken_check,
        .check_statistics = broken_statistics,
        .walk = broken_walk,
        .used_blocks = broken_used_blocks,
    };
}
