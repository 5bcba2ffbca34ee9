/*
 * edges: requests that nobody can meet, or that mean nothing, by all threads among ordinary ones.
 *
 * Goal: whatever overflows is refused as the standards say, and changes nothing.
 * Class of bug: a product of calloc in too narrow a width, or checked too late; a sum of size, alignment and tag that
 * wraps; a realloc that fails and frees; posix_memalign that stores, or takes any alignment. Oracle: everything in
 * oracle.h; such a request gives NULL and ENOMEM (aligned_alloc may say EINVAL, posix_memalign returns what it means
 * and stores nothing); the block of a failed realloc keeps its content. Knobs: EDGE_PERCENT of the operations.
 */
#include "heapster.h"

#include <errno.h>

#include "mix.h"
#include "oracle.h"
#include "violation.h"

enum { EDGE_PERCENT = 20, SPREAD = 1 << 20 };

static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 10, .resize = 15, .inspect = 10};

static void expect_refused(const void *payload, const char *call, size_t a, size_t b)
{
    if (payload != NULL)
        kit_violation(NULL, NULL, "edge", "%s of 0x%zx, 0x%zx gave %p", call, a, b, payload);
    if (errno != ENOMEM && !kit_is_tolerated(KIT_TOLERATE_ERRNO))
        kit_violation(NULL, NULL, "edge", "%s of 0x%zx, 0x%zx left errno %d, expected ENOMEM", call, a, b, errno);
}

/* More than any object may have, and so much that the allocator's own bytes make it wrap. */
static size_t absurd_bytes(struct kit_rng *rng)
{
    size_t below = (size_t)kit_rng_below(rng, kit_rng_percent(rng, 50) ? 128 : SPREAD);

    return (kit_rng_percent(rng, 50) ? SIZE_MAX : (size_t)PTRDIFF_MAX + SPREAD) - below;
}

static void call_calloc(struct kit_rng *rng, const struct kit_allocator *allocator)
{
    size_t bytes = (size_t)2 << kit_rng_below(rng, 48), count = SIZE_MAX / bytes;

    /* The product wraps, to 0 or to a little more. */
    count += 1 + (size_t)kit_rng_below(rng, 8);
    bytes += (size_t)kit_rng_below(rng, 2);
    expect_refused(allocator->calloc(allocator->context, count, bytes), "calloc", count, bytes);
}

static void call_realloc(struct kit_thread *thread, const struct kit_allocator *allocator)
{
    struct kit_block *block = thread->blocks[kit_rng_below(&thread->rng, thread->block_count)];
    size_t bytes = absurd_bytes(&thread->rng);
    void *payload = kit_block_is_live(block) ? kit_block_payload(block) : NULL;

    expect_refused(allocator->realloc(allocator->context, payload, bytes), "realloc", (uintptr_t)payload, bytes);
    if (payload != NULL)
        kit_inspect(thread, block);
}

static void call_reallocarray(struct kit_thread *thread)
{
    struct kit_block *block = thread->blocks[kit_rng_below(&thread->rng, thread->block_count)];
    size_t bytes = (size_t)2 << kit_rng_below(&thread->rng, 48), count = SIZE_MAX / bytes + 1;
    void *payload = kit_block_is_live(block) ? kit_block_payload(block) : NULL;

    expect_refused(heapster_reallocarray(payload, count, bytes), "reallocarray", count, bytes);
    if (payload != NULL)
        kit_inspect(thread, block);
}

/* 4 GiB and a little: whoever cuts that to 32 bits serves it from a small block. The memory is not touched, here;
 * others might zero it for calloc, page by page. */
static void ask_for_long(struct kit_rng *rng, const struct kit_allocator *allocator)
{
    size_t bytes = ((size_t)4 << 30) + 8 + 8 * (size_t)kit_rng_below(rng, 64);
    bool zeroed = allocator->is_heapster && kit_rng_percent(rng, 50);
    void *payload =
        zeroed ? allocator->calloc(allocator->context, bytes / 8, 8) : allocator->malloc(allocator->context, bytes);

    if (payload != NULL && allocator->usable_size(allocator->context, payload) < bytes)
        kit_violation(NULL, NULL, "edge", "%zu bytes are usable of %zu",
                      allocator->usable_size(allocator->context, payload), bytes);
    allocator->free(allocator->context, payload);
}

static void call_aligned_alloc(struct kit_rng *rng, const struct kit_allocator *allocator)
{
    size_t alignment = (size_t)16 << kit_rng_below(rng, 20), bytes = absurd_bytes(rng) & ~(alignment - 1);
    void *payload = allocator->aligned_alloc(allocator->context, alignment, bytes);

    if (errno == EINVAL && allocator->by_standard)
        errno = ENOMEM;
    expect_refused(payload, "aligned_alloc", alignment, bytes);
}

static void call_posix_memalign(struct kit_rng *rng, const struct kit_allocator *allocator)
{
    static const size_t no_alignments[] = {0, 1, 4, 3 * sizeof(void *), sizeof(void *) + 1, SIZE_MAX};
    bool is_absurd = kit_rng_percent(rng, 50);
    size_t alignment = is_absurd ? (size_t)16 << kit_rng_below(rng, 12) : no_alignments[kit_rng_below(rng, 6)];
    size_t bytes = is_absurd ? absurd_bytes(rng) : 100;
    void *out = rng;
    int failure = allocator->posix_memalign(allocator->context, &out, alignment, bytes);

    if (failure != (is_absurd ? ENOMEM : EINVAL) || out != (void *)rng)
        kit_violation(NULL, NULL, "edge", "posix_memalign of 0x%zx, 0x%zx returned %d and stored %p", alignment, bytes,
                      failure, out);
}

static void call_at_the_edge(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct kit_rng *rng = &thread->rng;
    uint64_t chosen = kit_rng_below(rng, 40);
    size_t bytes = absurd_bytes(rng);

    errno = 0;
    kit_doing(thread, KIT_MALLOC, bytes);
    if (chosen == 0)
        ask_for_long(rng, allocator);
    else if (chosen == 1 && allocator->is_heapster)
        call_reallocarray(thread);
    else if (chosen % 6 == 0)
        expect_refused(allocator->malloc(allocator->context, bytes), "malloc", bytes, 0);
    else if (chosen % 6 == 1)
        call_calloc(rng, allocator);
    else if (chosen % 6 == 2)
        call_realloc(thread, allocator);
    else if (chosen % 6 == 3)
        call_aligned_alloc(rng, allocator);
    else if (chosen % 6 == 4)
        call_posix_memalign(rng, allocator);
    else
        allocator->free(allocator->context, NULL);
}

static void work(struct kit_thread *thread)
{
    while (kit_step(thread)) {
        if (kit_rng_percent(&thread->rng, EDGE_PERCENT))
            call_at_the_edge(thread);
        else
            kit_mix_step(thread, &mix, thread->run->allocator);
    }
}

const struct kit_scenario stress_edges = {
    .name = "edges",
    .summary = "requests that overflow or mean nothing, among others",
    .needs = KIT_NEEDS_REFUSALS,
    .blocks_of_thread = 128,
    .slots = 64,
    .work = work,
};
