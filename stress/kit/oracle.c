#include "oracle.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "pattern.h"
#include "violation.h"

/* Larger blocks are only sampled while they live. */
enum { WHOLE_CHECK_BYTES = 4096, SAMPLE_BYTES = 128, SAMPLES = 4 };

enum { TIMED_ONE_IN = 8 };

/* Of some blocks all usable bytes are written to, where those beyond what was asked for are not many. */
enum { EXCESS_ONE_IN = 8, EXCESS_BYTES = 4096, EXCESS_MARK = 0xE5 };

/* What the shadow tells apart; and up to which alignment blocks grow to a multiple of it. */
enum { GRAIN_BYTES = 8, MULTIPLES_BYTES = 4096 };

/* No errno that a call would set. */
enum { ERRNO_BEFORE = 4095 };

static size_t at_least_grain(size_t bytes)
{
    return bytes > 0 && bytes < GRAIN_BYTES ? GRAIN_BYTES : bytes;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void note(const struct kit_thread *thread, struct kit_block *block, enum kit_deed deed)
{
    uint32_t count = kit_get(block->deed_count), index = count == 0 ? 0 : 1 + (count - 1) % (KIT_HISTORY - 1);

    kit_put(block->deeds[index], kit_deed_pack(deed, thread->index, kit_get(thread->ops)));
    kit_put(block->deed_count, count + 1);
}

static void add_live(struct kit_thread *thread, int64_t bytes)
{
    kit_put(thread->live_bytes, kit_get(thread->live_bytes) + bytes);
}

/* One call of TIMED_ONE_IN is timed: reading the clock costs as much as a fast call. */
static uint64_t start_clock(const struct kit_thread *thread)
{
    return kit_get(thread->ops) % TIMED_ONE_IN == 0 ? now_ns() : 0;
}

/* Keeps errno. */
static void stop_clock(struct kit_thread *thread, enum kit_call call, uint64_t started)
{
    if (started != 0)
        kit_latency_add(&thread->latency[call], now_ns() - started);
}

bool kit_is_tolerated(enum kit_tolerance what)
{
    struct kit_run *run = kit_current;

    if ((run->config->tolerated & what) == 0)
        return false;
    (void)atomic_fetch_add_explicit(&run->result->tolerated, 1, memory_order_relaxed); /* relaxed: a count */
    return true;
}

static void expect_errno(const struct kit_block *block, int expected, const char *after)
{
    if (errno != expected && !kit_is_tolerated(KIT_TOLERATE_ERRNO))
        kit_violation(block, NULL, "errno", "%d after %s, expected %d", errno, after, expected);
}

static void expect_errno_kept(const struct kit_block *block, const char *after)
{
    if (block->allocator->keeps_errno)
        expect_errno(block, ERRNO_BEFORE, after);
}

/* Even a block without a usable byte has an address of its own. */
static size_t covered_bytes(size_t usable_bytes)
{
    return usable_bytes != 0 ? usable_bytes : 1;
}

/* The live block that covers the address, but for `block`; NULL if it is gone meanwhile. */
static const struct kit_block *covering(const struct kit_run *run, const struct kit_block *block, uintptr_t address)
{
    for (size_t i = 0; i < run->block_count; i++) {
        const struct kit_block *other = &run->blocks[i];
        uintptr_t begin = kit_get(other->address);

        if (other != block && begin != 0 && address >= begin &&
            address - begin < covered_bytes(kit_get(other->usable_bytes)))
            return other;
    }
    return NULL;
}

static void cover(const struct kit_thread *thread, const struct kit_block *block)
{
    uintptr_t wrong =
        kit_shadow_set(thread->run->shadow, kit_get(block->address), covered_bytes(kit_get(block->usable_bytes)));

    if (wrong != 0)
        kit_violation(block, covering(thread->run, block, wrong), "overlap",
                      "the block that was handed out covers 0x%llx, which is in a live block",
                      (unsigned long long)wrong);
}

static void uncover(const struct kit_thread *thread, const struct kit_block *block)
{
    uintptr_t wrong =
        kit_shadow_clear(thread->run->shadow, kit_get(block->address), covered_bytes(kit_get(block->usable_bytes)));

    if (wrong != 0)
        kit_violation(block, covering(thread->run, block, wrong), "overlap",
                      "0x%llx in the live block was also in another one, which is gone", (unsigned long long)wrong);
}

static void expect_pattern(const struct kit_block *block, size_t from, size_t to, const char *what)
{
    const unsigned char *payload = kit_block_payload(block);
    size_t offset = kit_pattern_mismatch(payload, from, to, block->key);

    if (offset != KIT_INTACT)
        kit_violation(block, NULL, what, "byte %zu at %p is 0x%02x, expected 0x%02x", offset,
                      (const void *)(payload + offset), payload[offset], kit_pattern_byte(block->key, offset));
}

/* How far the pattern goes in a block of that many bytes. */
static size_t filled_bytes(const struct kit_block *block, size_t bytes)
{
    return bytes < block->fill_most ? bytes : block->fill_most;
}

static void expect_content(const struct kit_block *block)
{
    expect_pattern(block, 0, filled_bytes(block, kit_get(block->bytes)), "lost content");
}

/* ---- birth ---------------------------------------------------------------------------------------------------------
 */

static void *call_posix_memalign(const struct kit_block *block, size_t alignment, size_t bytes)
{
    const struct kit_allocator *allocator = block->allocator;
    void *payload = NULL;
    int failure = allocator->posix_memalign(allocator->context, &payload, alignment, bytes);

    if (failure != 0 && (failure != ENOMEM || payload != NULL))
        kit_violation(block, NULL, "posix_memalign", "returned %d and stored %p", failure, payload);
    if (failure == 0)
        return payload;
    expect_errno_kept(block, "a refusal by posix_memalign, which returns it,");
    errno = ENOMEM;
    return NULL;
}

static void *call_allocator(const struct kit_block *block, enum kit_deed how, size_t alignment, size_t bytes)
{
    const struct kit_allocator *allocator = block->allocator;

    switch (how) {
    case KIT_CALLOC:
        return bytes % 8 == 0 ? allocator->calloc(allocator->context, bytes / 8, 8)
                              : allocator->calloc(allocator->context, bytes, 1);
    case KIT_REALLOC:
        return allocator->realloc(allocator->context, NULL, bytes);
    case KIT_POSIX_MEMALIGN:
        if (allocator->posix_memalign != NULL)
            return call_posix_memalign(block, alignment, bytes);
        return allocator->aligned_alloc(allocator->context, alignment, bytes);
    case KIT_MEMALIGN:
        if (allocator->memalign != NULL)
            return allocator->memalign(allocator->context, alignment, bytes);
        return allocator->aligned_alloc(allocator->context, alignment, bytes);
    case KIT_ALIGNED_ALLOC:
        return allocator->aligned_alloc(allocator->context, alignment, bytes);
    default:
        return allocator->malloc(allocator->context, bytes);
    }
}

static void refused(const struct kit_block *block, size_t bytes)
{
    if (block->allocator->by_standard && bytes == 0)
        return;
    if (!block->allocator->may_refuse)
        kit_violation(block, NULL, "refused", "no memory for %zu bytes, errno %d", bytes, errno);
    expect_errno(block, ENOMEM, "a refusal");
}

static size_t alignment_of(const struct kit_block *block)
{
    size_t alignment = block->allocator->least_alignment, bytes = kit_get(block->bytes);

    if (block->allocator->by_standard && bytes == 0)
        return 1;
    while (block->allocator->by_standard && alignment > bytes)
        alignment /= 2;
    return block->alignment > alignment ? block->alignment : alignment;
}

/* Whoever may write to all usable bytes should not meet anything of the allocator's there. */
static void fill_excess(const struct kit_block *block)
{
    size_t bytes = kit_get(block->bytes), excess = kit_get(block->usable_bytes) - bytes;

    if (kit_get(block->id) % EXCESS_ONE_IN == 0 && excess <= EXCESS_BYTES && block->fill_most == SIZE_MAX)
        memset((char *)kit_block_payload(block) + bytes, EXCESS_MARK, excess);
}

/* What the allocator handed out, on its own and beside all others. */
static void accept_range(const struct kit_thread *thread, struct kit_block *block, void *payload)
{
    const struct kit_allocator *allocator = block->allocator;
    size_t alignment = alignment_of(block), usable_bytes;

    kit_put(block->address, (uintptr_t)payload);
    kit_put(block->usable_bytes, 0);
    if ((uintptr_t)payload % alignment != 0 && !kit_is_tolerated(KIT_TOLERATE_MISALIGNED))
        kit_violation(block, NULL, "misaligned", "%p is no multiple of %zu", payload, alignment);
    usable_bytes = allocator->usable_size(allocator->context, payload);
    kit_put(block->usable_bytes, usable_bytes);
    if (usable_bytes < kit_get(block->bytes))
        kit_violation(block, NULL, "usable size", "%zu bytes are usable, %zu were asked for", usable_bytes,
                      kit_get(block->bytes));
    cover(thread, block);
}

/* aligned_alloc is asked for multiples of alignments that are not large, posix_memalign for the rest. */
static void keep_to_standard(enum kit_deed *how, size_t alignment, size_t *bytes)
{
    *bytes = at_least_grain(*bytes);
    if (*how != KIT_ALIGNED_ALLOC || *bytes % alignment == 0)
        return;
    if (alignment <= MULTIPLES_BYTES)
        *bytes += alignment - *bytes % alignment;
    else
        *how = KIT_POSIX_MEMALIGN;
}

void kit_allocate(struct kit_thread *thread, struct kit_block *block, const struct kit_allocator *allocator,
                  enum kit_deed how, size_t alignment, size_t bytes)
{
    void *payload;
    size_t dirty;
    uint64_t clock;

    if (allocator->by_standard)
        keep_to_standard(&how, alignment, &bytes);
    kit_doing(thread, how, bytes);
    block->allocator = allocator;
    block->made_by = how;
    block->alignment = alignment;
    block->fill_most = thread->untouched_from != 0 ? thread->untouched_from : SIZE_MAX;
    kit_put(block->bytes, bytes);
    kit_put(block->deed_count, 0);
    kit_put(block->id, (uint64_t)thread->index << 40 | thread->next_id++);
    block->key = kit_pattern_key(thread->run->config->seed, kit_get(block->id));
    note(thread, block, how);
    clock = start_clock(thread);
    errno = ERRNO_BEFORE;
    payload = call_allocator(block, how, alignment, bytes);
    stop_clock(thread, KIT_CALL_ALLOCATE, clock);
    if (payload == NULL) {
        refused(block, bytes);
        return;
    }
    expect_errno_kept(block, kit_deed_name(how));
    accept_range(thread, block, payload);
    dirty = how == KIT_CALLOC ? kit_pattern_first_nonzero(payload, bytes) : KIT_INTACT;
    if (dirty != KIT_INTACT)
        kit_violation(block, NULL, "dirty calloc", "byte %zu is 0x%02x", dirty, ((unsigned char *)payload)[dirty]);
    kit_pattern_fill(payload, 0, filled_bytes(block, bytes), block->key);
    fill_excess(block);
    add_live(thread, (int64_t)bytes);
}

/* ---- life ----------------------------------------------------------------------------------------------------------
 */

static void expect_samples(struct kit_thread *thread, const struct kit_block *block)
{
    size_t bytes = filled_bytes(block, kit_get(block->bytes));

    expect_pattern(block, 0, SAMPLE_BYTES, "lost content");
    expect_pattern(block, bytes - SAMPLE_BYTES, bytes, "lost content");
    for (int i = 0; i < SAMPLES; i++) {
        size_t from = (size_t)kit_rng_below(&thread->rng, bytes - SAMPLE_BYTES);

        expect_pattern(block, from, from + SAMPLE_BYTES, "lost content");
    }
}

void kit_inspect(struct kit_thread *thread, struct kit_block *block)
{
    const struct kit_allocator *allocator = block->allocator;
    size_t usable_bytes;

    kit_doing(thread, KIT_INSPECT, kit_get(block->bytes));
    if (filled_bytes(block, kit_get(block->bytes)) <= WHOLE_CHECK_BYTES)
        expect_content(block);
    else
        expect_samples(thread, block);
    usable_bytes = allocator->usable_size(allocator->context, kit_block_payload(block));
    if (usable_bytes != kit_get(block->usable_bytes))
        kit_violation(block, NULL, "usable size", "%zu bytes now, %zu before", usable_bytes,
                      kit_get(block->usable_bytes));
}

void kit_resize(struct kit_thread *thread, struct kit_block *block, size_t bytes)
{
    const struct kit_allocator *allocator = block->allocator;
    size_t old_bytes = kit_get(block->bytes);
    uint64_t clock;
    void *payload;

    if (allocator->by_standard)
        bytes = at_least_grain(bytes);
    kit_doing(thread, KIT_REALLOC, bytes);
    note(thread, block, KIT_REALLOC);
    expect_content(block);
    /* The old range may be another thread's before realloc returns. */
    uncover(thread, block);
    clock = start_clock(thread);
    errno = ERRNO_BEFORE;
    payload = allocator->realloc(allocator->context, kit_block_payload(block), bytes);
    stop_clock(thread, KIT_CALL_RESIZE, clock);
    if (payload == NULL) {
        refused(block, bytes);
        cover(thread, block);
        expect_content(block);
        return;
    }
    expect_errno_kept(block, kit_deed_name(KIT_REALLOC));
    kit_put(block->bytes, bytes);
    block->alignment = 0;
    block->made_by = KIT_REALLOC;
    accept_range(thread, block, payload);
    expect_pattern(block, 0, filled_bytes(block, bytes < old_bytes ? bytes : old_bytes), "lost prefix");
    if (bytes > old_bytes)
        kit_pattern_fill(payload, filled_bytes(block, old_bytes), filled_bytes(block, bytes), block->key);
    fill_excess(block);
    add_live(thread, (int64_t)bytes - (int64_t)old_bytes);
}

/* ---- death ---------------------------------------------------------------------------------------------------------
 */

static void call_free_sized(const struct kit_block *block, void *payload, size_t bytes)
{
    const struct kit_allocator *allocator = block->allocator;

    bool may_be_aligned = !allocator->by_standard || block->made_by == KIT_ALIGNED_ALLOC;

    if (block->alignment != 0 && may_be_aligned && allocator->free_aligned_sized != NULL)
        allocator->free_aligned_sized(allocator->context, payload, block->alignment, bytes);
    else if (block->alignment == 0 && allocator->free_sized != NULL)
        allocator->free_sized(allocator->context, payload, bytes);
    else
        allocator->free(allocator->context, payload);
}

static void release_by_realloc(const struct kit_block *block, void *payload)
{
    const struct kit_allocator *allocator = block->allocator;
    void *left = allocator->realloc(allocator->context, payload, 0);

    if (left != NULL)
        kit_violation(block, NULL, "realloc to 0", "returned %p, expected NULL", left);
}

/* After this the record is empty; the block's address is returned. */
static void *retire(struct kit_thread *thread, struct kit_block *block, enum kit_deed how)
{
    void *payload = kit_block_payload(block);

    kit_doing(thread, how, kit_get(block->bytes));
    note(thread, block, how);
    expect_content(block);
    uncover(thread, block);
    kit_put(block->address, 0);
    add_live(thread, -(int64_t)kit_get(block->bytes));
    return payload;
}

void kit_release(struct kit_thread *thread, struct kit_block *block, enum kit_deed how)
{
    const struct kit_allocator *allocator = block->allocator;
    void *payload = retire(thread, block, how);
    uint64_t clock = start_clock(thread);

    errno = ERRNO_BEFORE;
    if (how == KIT_REALLOC_TO_ZERO && !allocator->by_standard)
        release_by_realloc(block, payload);
    else if (how == KIT_FREE_SIZED)
        call_free_sized(block, payload, kit_get(block->bytes));
    else
        allocator->free(allocator->context, payload);
    expect_errno(block, ERRNO_BEFORE, kit_deed_name(how));
    stop_clock(thread, KIT_CALL_RELEASE, clock);
}

void kit_forget(struct kit_thread *thread, struct kit_block *block)
{
    (void)retire(thread, block, KIT_DESTROY_ARENA);
}

/* ---- the walk ------------------------------------------------------------------------------------------------------
 */

struct comparison {
    struct kit_run *run;
    size_t blocks, bytes;
    uintptr_t torn; /* a block of the walk that a live one covers in part */
};

static void compare_block(const struct kit_walked *block, void *argument)
{
    struct comparison *walk = argument;
    enum kit_cover found = kit_shadow_cover(walk->run->shadow, block->payload, covered_bytes(block->usable_bytes));

    if (found == KIT_COVERED_PARTLY || (found == KIT_COVERED_WHOLLY && block->state != KIT_BLOCK_LIVE))
        walk->torn = block->payload;
    if (found == KIT_COVERED_WHOLLY) {
        walk->blocks++;
        walk->bytes += block->usable_bytes;
    }
}

void kit_compare_with_walk(struct kit_run *run)
{
    const struct kit_allocator *allocator = run->allocator;
    struct comparison walk = {run, 0, 0, 0};
    size_t blocks = 0, bytes = 0;

    if (allocator->walk == NULL)
        return;
    for (size_t i = 0; i < run->block_count; i++) {
        if (!kit_block_is_live(&run->blocks[i]))
            continue;
        blocks++;
        bytes += kit_get(run->blocks[i].usable_bytes);
    }
    allocator->walk(allocator->context, compare_block, &walk);
    if (walk.torn != 0)
        kit_violation(NULL, NULL, "walk", "the block at 0x%llx is not the live one that stands there",
                      (unsigned long long)walk.torn);
    if (walk.blocks != blocks || walk.bytes != bytes)
        kit_violation(NULL, NULL, "walk", "found %zu live blocks of %zu bytes, expected %zu of %zu", walk.blocks,
                      walk.bytes, blocks, bytes);
}
