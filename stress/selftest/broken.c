#include "broken.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pages.h"
#include "rng.h"
#include "run.h"

enum { HEADER_BYTES = 64, LEAST_SHIFT = 5, SHIFTS = 32, LIVE_MAX = 1 << 16, FIRST_STRIKE = 500, STRIKE_EVERY = 97 };

enum { LEAST_ALIGNMENT = 16 };

#define HEAP_BYTES ((size_t)8 << 30)

/* Blocks that others made before, for the count of those in use. */
enum { USED_BEFORE = 1000 };

/* At the end of the heap, where no block ever is. */
enum { DESERT_BYTES = 4096 };

struct chunk {
    struct chunk *next; /* where it is free */
};

struct header {
    struct chunk *chunk;
    unsigned shift; /* of the chunk */
    unsigned live_index;
    size_t alignment; /* as asked for; 0: none */
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
    int64_t leaked;
    uint64_t running_checks;
    void *newest;
    void *spoilt; /* its content, until it is repaired */
} heap = {.lock = PTHREAD_MUTEX_INITIALIZER};

enum { CALL_MALLOC, CALL_CALLOC, CALL_REALLOC, CALL_ALIGNED, CALL_POSIX, CALL_FREE, CALL_USABLE };

static struct header *header_of(void *payload)
{
    return (struct header *)((char *)payload - HEADER_BYTES);
}

/* In the call that was counted last. */
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
    if (heap.used_bytes + ((size_t)1 << shift) > HEAP_BYTES - DESERT_BYTES)
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

static void *take_block(size_t asked_alignment, size_t bytes)
{
    size_t alignment = asked_alignment < LEAST_ALIGNMENT ? LEAST_ALIGNMENT : asked_alignment;
    unsigned shift = LEAST_SHIFT;
    struct header *header;
    uintptr_t payload;
    struct chunk *chunk;

    while (((size_t)1 << shift) < bytes + alignment + HEADER_BYTES)
        shift++;
    chunk = take_chunk(shift);
    if (chunk == NULL || heap.live_count == LIVE_MAX)
        return NULL;
    payload = ((uintptr_t)chunk + HEADER_BYTES + alignment - 1) & ~(alignment - 1);
    if (strikes(FAULT_MISALIGNED))
        payload += 8;
    if (heap.fault == FAULT_LEAST_ALIGNMENT && alignment > LEAST_ALIGNMENT)
        payload += LEAST_ALIGNMENT;
    header = header_of((char *)chunk + (payload - (uintptr_t)chunk));
    *header = (struct header){
        .chunk = chunk,
        .shift = shift,
        .live_index = heap.live_count,
        .alignment = asked_alignment,
        .bytes = bytes,
    };
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
    if (strikes(FAULT_FREE_COUNTED_TWICE))
        heap.leaked--;
    heap.live[header->live_index] = last;
    header_of(last)->live_index = header->live_index;
    if (payload == heap.newest)
        heap.newest = NULL;
    if (payload == heap.spoilt)
        heap.spoilt = NULL;
    give_chunk(header->chunk, header->shift);
}

/* What the fault loses of a block's content; done twice, it is as before. */
static void flip(unsigned char *payload)
{
    size_t bytes = header_of(payload)->bytes, from = bytes / 2, to = from + 1;

    if (heap.fault == FAULT_LOST_MIDDLE) {
        from = bytes / 8;
        to = bytes - bytes / 8;
    } else if (heap.fault == FAULT_LOST_HEAD || heap.fault == FAULT_LOST_TAIL) {
        from = heap.fault == FAULT_LOST_HEAD ? 0 : bytes - 1;
        to = from + 1;
    }
    for (size_t i = from; i < to; i++)
        payload[i] ^= 1;
}

static void spoil(void *payload)
{
    flip(payload);
    heap.spoilt = payload;
}

static void repair(void)
{
    if (heap.spoilt != NULL)
        flip(heap.spoilt);
    heap.spoilt = NULL;
}

static bool loses_for_a_while(void)
{
    return heap.fault >= FAULT_LOST_BEFORE_FREE && heap.fault <= FAULT_LOST_TAIL && strikes(heap.fault);
}

static void crash_if_told(void)
{
    if (strikes(FAULT_ABORT))
        abort();
    if (strikes(FAULT_BUS))
        (void)raise(SIGBUS);
    if (strikes(FAULT_SEGV)) {
        volatile char *page = kit_pages_map(1);

        (void)mprotect((void *)page, 1, PROT_NONE);
        *page = 1;
    }
}

static bool refuses(unsigned which)
{
    return strikes(FAULT_REFUSAL) || strikes(FAULT_ERRNO_OF_REFUSAL) || strikes(FAULT_ALLOWED_REFUSAL) ||
           (strikes(FAULT_ERRNO_OF_MEMALIGN) && which == CALL_POSIX) ||
           (strikes(FAULT_LOST_BY_REFUSAL) && which == CALL_REALLOC);
}

/* posix_memalign returns what the others leave in errno. */
static void *refuse(unsigned which)
{
    if (which != CALL_POSIX || heap.fault == FAULT_ERRNO_OF_MEMALIGN)
        errno = heap.fault == FAULT_ERRNO_OF_REFUSAL ? EAGAIN : ENOMEM;
    return NULL;
}

static void *allocate_locked(unsigned which, size_t alignment, size_t bytes)
{
    void *before = heap.newest;

    repair();
    crash_if_told();
    while (strikes(FAULT_HANG))
        (void)pause();
    if (strikes(FAULT_ERRNO))
        errno = ENOENT;
    if (refuses(which))
        return refuse(which);
    if (strikes(FAULT_TWICE) && before != NULL)
        return before;
    if (loses_for_a_while() && which == CALL_MALLOC && before != NULL)
        spoil(before);
    return take_block(alignment, bytes);
}

/* ---- the table -----------------------------------------------------------------------------------------------------
 */

static void *allocate(unsigned which, size_t alignment, size_t bytes, bool zeroed)
{
    void *payload;

    (void)pthread_mutex_lock(&heap.lock);
    count_call(which, bytes);
    payload = allocate_locked(which, alignment, bytes);
    if (zeroed && payload != NULL && !strikes(FAULT_DIRTY_CALLOC))
        memset(payload, 0, bytes);
    if (zeroed && payload != NULL && bytes > 16 && strikes(FAULT_DIRTY_CALLOC_TAIL))
        ((char *)payload)[bytes - 1] = 1;
    (void)pthread_mutex_unlock(&heap.lock);
    return payload;
}

static void *broken_malloc(void *context, size_t bytes)
{
    (void)context;
    return allocate(CALL_MALLOC, 0, bytes, false);
}

static void *broken_calloc(void *context, size_t count, size_t bytes)
{
    (void)context;
    return allocate(CALL_CALLOC, 0, count * bytes, true);
}

static void *broken_aligned_alloc(void *context, size_t alignment, size_t bytes)
{
    (void)context;
    return allocate(CALL_ALIGNED, alignment, bytes, false);
}

static int broken_posix_memalign(void *context, void **out, size_t alignment, size_t bytes)
{
    void *payload;

    (void)context;
    if (heap.fault == FAULT_MEMALIGN_STATUS)
        return EINVAL;
    payload = allocate(CALL_POSIX, alignment, bytes, false);
    if (payload == NULL)
        return ENOMEM;
    *out = payload;
    return heap.fault == FAULT_MEMALIGN_STORE ? ENOMEM : 0;
}

static void release(void *payload)
{
    (void)pthread_mutex_lock(&heap.lock);
    count_call(CALL_FREE, header_of(payload)->bytes);
    drop_block(payload);
    (void)pthread_mutex_unlock(&heap.lock);
}

static void broken_free(void *context, void *payload)
{
    (void)context;
    release(payload);
    if (heap.fault == FAULT_ERRNO_OF_FREE)
        errno = ENOENT;
}

static void broken_free_aligned_sized(void *context, void *payload, size_t alignment, size_t bytes)
{
    const struct header *header = header_of(payload);

    (void)context;
    if (header->alignment != alignment || header->bytes != bytes)
        abort();
    if (heap.fault != (alignment != 0 ? FAULT_FREE_ALIGNED_SIZED : FAULT_FREE_SIZED))
        release(payload);
}

static void broken_free_sized(void *context, void *payload, size_t bytes)
{
    broken_free_aligned_sized(context, payload, 0, bytes);
}

static void *realloc_to_zero(void *old)
{
    release(old);
    if (heap.fault == FAULT_ERRNO_OF_REALLOC_TO_ZERO)
        errno = ENOENT;
    return heap.fault == FAULT_REALLOC_TO_ZERO ? old : NULL;
}

static void *keep_old(void *old)
{
    (void)pthread_mutex_lock(&heap.lock);
    if (heap.fault == FAULT_LOST_BY_REFUSAL)
        spoil(old);
    (void)pthread_mutex_unlock(&heap.lock);
    return NULL;
}

static void *broken_realloc(void *context, void *old, size_t bytes)
{
    size_t kept_bytes = old != NULL ? header_of(old)->bytes : 0;
    void *payload;

    (void)context;
    if (old != NULL && bytes == 0)
        return realloc_to_zero(old);
    payload = allocate(CALL_REALLOC, 0, bytes, false);
    if (old == NULL)
        return payload;
    if (payload == NULL)
        return keep_old(old);
    kept_bytes = kept_bytes < bytes ? kept_bytes : bytes;
    if (heap.fault == FAULT_LOST_PREFIX && kept_bytes > 0)
        kept_bytes--;
    memcpy(payload, old, kept_bytes);
    release(old);
    if (heap.fault == FAULT_ERRNO_OF_REALLOC)
        errno = ENOENT;
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
    if (strikes(FAULT_UNCOVERED) && header->asked > 1)
        (void)kit_shadow_clear(kit_current->shadow, (uintptr_t)payload + (bytes > 0 ? bytes - 1 : 0), 1);
    if (payload == heap.spoilt)
        repair();
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
    if (!at_rest)
        heap.running_checks++;
    if ((heap.fault == FAULT_CHECK && !at_rest) || (heap.fault == FAULT_CHECK_AT_REST && at_rest) ||
        (heap.fault == FAULT_CHECK_UNDER_LOAD && !at_rest && heap.running_checks > 1))
        kit_text_add(findings, "  X1 is broken\n");
}

static void broken_statistics(void *context, struct kit_text *findings)
{
    (void)context;
    if (heap.fault == FAULT_STATISTICS)
        kit_text_add(findings, "  more frees than allocations\n");
}

static struct kit_walked walked_of(unsigned index)
{
    size_t bytes = header_of(heap.live[index])->bytes;

    return (struct kit_walked){
        .payload = (uintptr_t)heap.live[index],
        .usable_bytes = heap.fault == FAULT_WALK_SIZE ? bytes / 2 : bytes,
        .block_bytes = bytes + HEADER_BYTES,
        .state = heap.fault == FAULT_WALK_STATE && index == 0 ? KIT_BLOCK_FREE : KIT_BLOCK_LIVE,
    };
}

/* What is not there. */
static void visit_phantom(kit_visit *visit, void *argument)
{
    struct kit_walked phantom = {.usable_bytes = 32, .block_bytes = 32 + HEADER_BYTES, .state = KIT_BLOCK_FREE};

    if (heap.fault == FAULT_WALK_TORN && heap.live_count != 0) {
        phantom.payload = (uintptr_t)heap.live[0] - 16;
        visit(&phantom, argument);
    } else if (heap.fault == FAULT_WALK_MISALIGNED) {
        phantom.payload = (uintptr_t)heap.base + HEAP_BYTES - DESERT_BYTES + 8;
        visit(&phantom, argument);
    }
}

static void broken_walk(void *context, kit_visit *visit, void *argument)
{
    (void)context;
    (void)pthread_mutex_lock(&heap.lock);
    for (unsigned i = heap.fault == FAULT_WALK ? 1 : 0; i < heap.live_count; i++) {
        struct kit_walked walked = walked_of(i);

        visit(&walked, argument);
    }
    visit_phantom(visit, argument);
    (void)pthread_mutex_unlock(&heap.lock);
}

static uint64_t broken_used_blocks(void *context)
{
    uint64_t blocks;

    (void)context;
    (void)pthread_mutex_lock(&heap.lock);
    blocks = (uint64_t)(USED_BEFORE + (int64_t)heap.live_count + heap.leaked);
    (void)pthread_mutex_unlock(&heap.lock);
    return blocks;
}

uint64_t broken_call_hash(void)
{
    return heap.hash;
}

static bool may_refuse(enum fault fault)
{
    return fault == FAULT_ALLOWED_REFUSAL || fault == FAULT_ERRNO_OF_REFUSAL || fault == FAULT_ERRNO_OF_MEMALIGN ||
           fault == FAULT_LOST_BY_REFUSAL;
}

struct kit_allocator broken_allocator(enum fault fault)
{
    if (heap.base == NULL)
        heap.base = kit_pages_map(HEAP_BYTES);
    memset(heap.free_chunks, 0, sizeof heap.free_chunks);
    heap.fault = fault;
    heap.calls = heap.hash = heap.used_bytes = heap.running_checks = 0;
    heap.leaked = 0;
    heap.live_count = 0;
    heap.newest = heap.spoilt = NULL;
    return (struct kit_allocator){
        .name = "broken",
        .least_alignment = LEAST_ALIGNMENT,
        .keeps_errno = true,
        .may_refuse = may_refuse(fault),
        .malloc = broken_malloc,
        .calloc = broken_calloc,
        .realloc = broken_realloc,
        .aligned_alloc = broken_aligned_alloc,
        .posix_memalign = broken_posix_memalign,
        .free = broken_free,
        .free_sized = broken_free_sized,
        .free_aligned_sized = broken_free_aligned_sized,
        .usable_size = broken_usable_size,
        .check = broken_check,
        .check_statistics = broken_statistics,
        .walk = broken_walk,
        .used_blocks = broken_used_blocks,
    };
}
