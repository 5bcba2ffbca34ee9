/*
 * player_calls: one operation, one call. player.h says what is expected of the answer.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "pattern.h"
#include "player.h"

#define ON_SLOT (FUZZ_SLOT)
#define MAKES (FUZZ_SLOT | FUZZ_BYTES)
#define ARENA_MAKES (FUZZ_LANE | FUZZ_SLOT | FUZZ_BYTES)

const struct fuzz_kind player_kinds[PLAY_KINDS] = {
    {"malloc", MAKES, 1200},
    {"calloc", MAKES | FUZZ_COUNT, 400},
    {"realloc", MAKES, 600},
    {"reallocarray", MAKES | FUZZ_COUNT, 100},
    {"free", ON_SLOT, 1200},
    {"free_sized", ON_SLOT, 100},
    {"free_aligned_sized", ON_SLOT, 100},
    {"aligned_alloc", MAKES | FUZZ_ALIGNMENT, 300},
    {"posix_memalign", MAKES | FUZZ_ALIGNMENT, 100},
    {"memalign", MAKES | FUZZ_ALIGNMENT, 100},
    {"valloc", MAKES, 2},
    {"pvalloc", MAKES, 2},
    {"usable_size", ON_SLOT, 100},
    {"overflow", FUZZ_SLOT | FUZZ_COUNT | FUZZ_BYTES, 20},
    {"set_strategy", FUZZ_EXTRA, 10},
    {"set_mmap_threshold", FUZZ_BYTES, 5},
    {"trim", FUZZ_BYTES, 1},
    {"stats", 0, 5},
    {"stats_print", FUZZ_EXTRA, 1},
    {"walk", FUZZ_EXTRA, 10},
    {"check", 0, 10},
    {"arena_create", FUZZ_LANE | FUZZ_EXTRA, 5},
    {"arena_malloc", ARENA_MAKES, 100},
    {"arena_calloc", ARENA_MAKES | FUZZ_COUNT, 40},
    {"arena_realloc", ARENA_MAKES, 60},
    {"arena_aligned_alloc", ARENA_MAKES | FUZZ_ALIGNMENT, 30},
    {"arena_set_strategy", FUZZ_LANE | FUZZ_EXTRA, 10},
    {"arena_destroy", FUZZ_LANE, 5},
    {"burst", FUZZ_BYTES | FUZZ_COUNT | FUZZ_HEAVY_COUNT | FUZZ_EXTRA, 2},
};

/* Calls take a product: count times bytes each. */
static size_t count_of(const struct fuzz_op *op)
{
    return 1 + (op->count & 7U);
}

static size_t each_of(const struct fuzz_op *op)
{
    return op->bytes / count_of(op);
}

static heapster_arena *arena_of(const struct fuzz_op *op)
{
    return player_arena(op->lane % PLAYER_ARENAS)->arena;
}

/* ---- blocks --------------------------------------------------------------------------------------------------------
 */

void player_expect_filled(const char *block, size_t bytes)
{
    if ((player.options & PLAYER_FILL) == 0 || block == NULL)
        return;
    for (size_t i = 0; i < bytes; i += i < PLAYER_EDGE_BYTES || bytes - i <= PLAYER_EDGE_BYTES ? 1 : PLAYER_EDGE_BYTES)
        if ((unsigned char)block[i] != PLAYER_FILLED)
            fuzz_fail("byte %zu of %zu new ones is not filled", i, bytes);
}

static void make(const struct fuzz_op *op, struct player_slot *slot)
{
    void *block;

    player_release(slot);
    errno = PLAYER_ERRNO;
    block = op->kind == PLAY_MALLOC ? heapster_malloc(op->bytes) : heapster_valloc(op->bytes);
    player_expect_filled(block, op->bytes);
    (void)player_settle(slot, block, op->bytes, op->kind == PLAY_MALLOC ? 16 : 4096, 0);
}

static void make_pages(const struct fuzz_op *op, struct player_slot *slot)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = op->bytes == 0 ? page : op->bytes;
    void *block;

    player_release(slot);
    errno = PLAYER_ERRNO;
    block = heapster_pvalloc(op->bytes);
    bytes = bytes > SIZE_MAX - page ? bytes : (bytes + page - 1) & ~(page - 1);
    player_expect_filled(block, bytes);
    (void)player_settle(slot, block, bytes, page, 0);
}

static void expect_zeroed(const char *block, size_t bytes)
{
    if (kit_pattern_first_nonzero(block, bytes) != KIT_INTACT)
        fuzz_fail("%p, %zu bytes by calloc, is not zeroed", (const void *)block, bytes);
}

/* Reading all of a large block would cost more than the allocator's work. */
static void expect_zeroed_block(const char *block, size_t bytes)
{
    enum { READ_BYTES = 8192 };

    if (block == NULL)
        return;
    expect_zeroed(block, bytes < READ_BYTES ? bytes : READ_BYTES);
    if (bytes > READ_BYTES)
        expect_zeroed(block + bytes - READ_BYTES / 8, READ_BYTES / 8);
}

static void make_zeroed(const struct fuzz_op *op, struct player_slot *slot)
{
    size_t bytes = count_of(op) * each_of(op);
    unsigned arena = 0;
    char *block;

    player_release(slot);
    if (op->kind == PLAY_ARENA_CALLOC) {
        arena = 1 + op->lane % PLAYER_ARENAS;
        if (arena_of(op) == NULL)
            return;
    }
    errno = PLAYER_ERRNO;
    if (arena != 0)
        block = heapster_arena_calloc(arena_of(op), count_of(op), each_of(op));
    else
        block = heapster_calloc(count_of(op), each_of(op));
    expect_zeroed_block(block, bytes);
    (void)player_settle(slot, block, bytes, 16, arena);
}

static void make_aligned(const struct fuzz_op *op, struct player_slot *slot)
{
    void *block = NULL;
    size_t alignment = op->alignment;
    int status;

    player_release(slot);
    errno = PLAYER_ERRNO;
    if (op->kind == PLAY_ALIGNED_ALLOC) {
        block = heapster_aligned_alloc(alignment, op->bytes);
    } else if (op->kind == PLAY_MEMALIGN) {
        block = heapster_memalign(alignment, op->bytes);
        for (alignment = 16; alignment < op->alignment;) /* it rounds up */
            alignment *= 2;
    } else {
        status = heapster_posix_memalign(&block, alignment, op->bytes);
        player_expect_errno(false);
        if ((status == 0) != (block != NULL))
            fuzz_fail("posix_memalign returned %d and %p", status, block);
        if (alignment < sizeof(void *) && status != EINVAL)
            fuzz_fail("posix_memalign took an alignment of %zu", alignment);
        if (alignment < sizeof(void *))
            return;
        errno = status == 0 ? PLAYER_ERRNO : status;
    }
    player_expect_filled(block, op->bytes);
    if (player_settle(slot, block, op->bytes, alignment, 0) && op->kind == PLAY_ALIGNED_ALLOC)
        slot->alignment = alignment;
}

static void make_in_arena(const struct fuzz_op *op, struct player_slot *slot)
{
    bool aligned = op->kind == PLAY_ARENA_ALIGNED_ALLOC;
    void *block;

    player_release(slot);
    if (arena_of(op) == NULL)
        return;
    errno = PLAYER_ERRNO;
    if (aligned)
        block = heapster_arena_aligned_alloc(arena_of(op), op->alignment, op->bytes);
    else
        block = heapster_arena_malloc(arena_of(op), op->bytes);
    player_expect_filled(block, op->bytes);
    (void)player_settle(slot, block, op->bytes, aligned ? op->alignment : 16, 1 + op->lane % PLAYER_ARENAS);
}

/* ---- resizing ------------------------------------------------------------------------------------------------------
 */

static void *call_resize(const struct fuzz_op *op, char *block, heapster_arena *arena)
{
    if (op->kind == PLAY_ARENA_REALLOC)
        return heapster_arena_realloc(arena, block, op->bytes);
    if (op->kind == PLAY_REALLOCARRAY)
        return heapster_reallocarray(block, count_of(op), each_of(op));
    return heapster_realloc(block, op->bytes);
}

static void expect_kept(const struct player_slot *old, const char *block, size_t bytes)
{
    struct player_slot kept = *old;
    size_t edge = PLAYER_EDGE_BYTES;

    kept.block = (char *)(uintptr_t)block;
    kept.bytes = bytes < old->bytes ? bytes : old->bytes;
    if (old->bytes <= PLAYER_WHOLE_BYTES) {
        if (kit_pattern_mismatch(block, 0, kept.bytes, old->key) != KIT_INTACT)
            fuzz_fail("realloc of %zu to %zu bytes lost content", old->bytes, bytes);
        return;
    }
    edge = kept.bytes < edge ? kept.bytes : edge;
    if (kit_pattern_mismatch(block, 0, edge, old->key) != KIT_INTACT ||
        (kept.bytes == old->bytes &&
         kit_pattern_mismatch(block, kept.bytes - edge, kept.bytes, old->key) != KIT_INTACT))
        fuzz_fail("realloc of %zu to %zu bytes lost content", old->bytes, bytes);
}

static void resize(const struct fuzz_op *op, struct player_slot *slot)
{
    size_t bytes = op->kind == PLAY_REALLOCARRAY ? count_of(op) * each_of(op) : op->bytes;
    heapster_arena *arena = op->kind == PLAY_ARENA_REALLOC ? arena_of(op) : NULL;
    struct player_slot old = *slot;
    char *block;

    if (op->kind == PLAY_ARENA_REALLOC && arena == NULL)
        return;
    if (old.block == NULL)
        old.arena = op->kind == PLAY_ARENA_REALLOC ? 1 + op->lane % PLAYER_ARENAS : 0;
    else
        player_verify(&old);
    errno = PLAYER_ERRNO;
    block = call_resize(op, old.block, arena);
    if (old.block != NULL && bytes == 0) {
        if (block != NULL)
            fuzz_fail("realloc to 0 bytes returned %p", (void *)block);
        player_expect_errno(false);
        player_forget(slot);
        return;
    }
    if (block == NULL) {
        player_refused(bytes, 16, old.arena);
        return;
    }
    if (old.block != NULL)
        expect_kept(&old, block, bytes);
    else
        player_expect_filled(block, bytes);
    player_forget(slot);
    (void)player_settle(slot, block, bytes, 16, old.arena);
}

/* ---- giving back ---------------------------------------------------------------------------------------------------
 */

static void release_sized(const struct fuzz_op *op, struct player_slot *slot)
{
    errno = PLAYER_ERRNO;
    if (slot->block == NULL) {
        if (op->kind == PLAY_FREE_ALIGNED_SIZED)
            heapster_free_aligned_sized(NULL, 16, op->extra);
        else
            heapster_free_sized(NULL, op->extra);
        player_expect_errno(false);
        return;
    }
    player_verify(slot);
    errno = PLAYER_ERRNO;
    if (op->kind == PLAY_FREE_ALIGNED_SIZED && slot->alignment != 0)
        heapster_free_aligned_sized(slot->block, slot->alignment, slot->bytes);
    else
        heapster_free_sized(slot->block, slot->bytes);
    player_expect_errno(false);
    player_forget(slot);
}

/* A program may use all that usable_size says. */
static void use_all(struct player_slot *slot)
{
    size_t usable_bytes = heapster_usable_size(slot->block);

    if (slot->block == NULL) {
        if (usable_bytes != 0)
            fuzz_fail("usable_size of NULL is %zu", usable_bytes);
        return;
    }
    player_verify(slot);
    for (size_t at = slot->bytes; at < usable_bytes && at < slot->bytes + 64; at++)
        slot->block[at] = (char)0xEE;
    if (usable_bytes > slot->bytes)
        slot->block[usable_bytes - 1] = (char)0xEE;
}

/* ---- looking and tuning --------------------------------------------------------------------------------------------
 */

struct tour {
    unsigned left; /* blocks until it stops */
    size_t used;
};

static bool visit_block(const struct heapster_block_info *info, void *context)
{
    struct tour *tour = context;

    tour->used += info->state == HEAPSTER_BLOCK_USED || info->state == HEAPSTER_BLOCK_LARGE;
    return --tour->left != 0;
}

static size_t count_live(void)
{
    return (size_t)__builtin_popcount(player.live);
}

static void look_at_stats(void)
{
    struct heapster_stats stats;

    heapster_stats(&stats);
    if (stats.used_blocks != count_live())
        fuzz_fail("stats has %llu used blocks of %zu", (unsigned long long)stats.used_blocks, count_live());
}

static void walk(const struct fuzz_op *op)
{
    struct tour tour = {op->extra & 1 ? 1U + op->extra : UINT_MAX, 0};
    size_t visited = heapster_walk(visit_block, &tour);

    if (tour.left == 0 && visited != 1U + op->extra)
        fuzz_fail("walk visited %zu blocks and was to stop after %u", visited, 1U + op->extra);
    if ((op->extra & 1) == 0 && tour.used != count_live())
        fuzz_fail("walk found %zu used blocks of %zu", tour.used, count_live());
}

static void set_strategy(const struct fuzz_op *op)
{
    enum heapster_strategy strategy = (enum heapster_strategy)(op->extra % 5);
    int status;

    if (op->kind == PLAY_ARENA_SET_STRATEGY && arena_of(op) == NULL)
        return;
    if (op->kind == PLAY_ARENA_SET_STRATEGY)
        status = heapster_arena_set_strategy(arena_of(op), strategy);
    else
        status = heapster_set_strategy(strategy);
    if (status != (op->extra % 5 == 4 ? EINVAL : 0))
        fuzz_fail("set_strategy of %d returned %d", (int)strategy, status);
    if (op->kind == PLAY_SET_STRATEGY && status == 0 && heapster_get_strategy() != strategy)
        fuzz_fail("get_strategy is not what was set");
}

static void set_threshold(const struct fuzz_op *op)
{
    size_t least = (size_t)64 * 1024, bytes = op->bytes < least ? least : op->bytes;

    heapster_set_mmap_threshold(op->bytes);
    if (heapster_get_mmap_threshold() != bytes)
        fuzz_fail("the threshold is %zu, and was set to %zu", heapster_get_mmap_threshold(), bytes);
}

static void perform_on_heap(const struct fuzz_op *op)
{
    switch ((enum player_kind)op->kind) {
    case PLAY_SET_STRATEGY:
    case PLAY_ARENA_SET_STRATEGY:
        set_strategy(op);
        break;
    case PLAY_SET_MMAP_THRESHOLD:
        set_threshold(op);
        break;
    case PLAY_TRIM:
        (void)heapster_trim(op->bytes);
        break;
    case PLAY_STATS:
        look_at_stats();
        break;
    case PLAY_STATS_PRINT:
        player_print_stats(op);
        break;
    case PLAY_WALK:
        walk(op);
        break;
    case PLAY_CHECK:
        player_check_heap(HEAPSTER_CHECK_RUNNING);
        break;
    case PLAY_ARENA_CREATE:
        if (player_creates_oddly(op))
            player_create_oddly(op->extra / 2);
        else
            (void)arena_of(op);
        break;
    case PLAY_ARENA_DESTROY:
        player_destroy_arena(op->lane % PLAYER_ARENAS);
        break;
    case PLAY_BURST:
        player_burst(op);
        break;
    default:
        break;
    }
}

bool player_creates_oddly(const struct fuzz_op *op)
{
    return op->kind == PLAY_ARENA_CREATE && (op->extra & 1) != 0;
}

/* A block that is filled takes as long as it is large, and a call that walks the heap as long as there are blocks. */
static bool makes_heavy_slow(uint8_t options)
{
    return (options & (PLAYER_FILL | PLAYER_CHECK)) != 0;
}

static bool is_heavy(const struct fuzz_op *op)
{
    if (op->kind == PLAY_BURST)
        return op->count >= FUZZ_LIGHT_COUNTS;
    return (player_kinds[op->kind - 1].fields & MAKES) == MAKES && op->bytes >= FUZZ_LIGHT_BYTES;
}

bool player_passes_over(const struct fuzz_op *op)
{
    /* More than a GiB is no arena's, and nothing that the allocator touches. */
    bool is_large = op->bytes > (size_t)8 << 20 && op->bytes <= (size_t)1 << 30;

    return (is_large && (op->kind == PLAY_CALLOC || op->kind == PLAY_ARENA_CALLOC || op->kind == PLAY_REALLOC ||
                         op->kind == PLAY_REALLOCARRAY || op->kind == PLAY_ARENA_REALLOC)) ||
           (makes_heavy_slow(player.options) && is_heavy(op));
}

void player_perform(const struct fuzz_op *op)
{
    struct player_slot *slot = &player.slots[op->slot];

    player_now_ms++;
    if (player_passes_over(op))
        return;
    switch ((enum player_kind)op->kind) {
    case PLAY_MALLOC:
    case PLAY_VALLOC:
        make(op, slot);
        break;
    case PLAY_PVALLOC:
        make_pages(op, slot);
        break;
    case PLAY_CALLOC:
    case PLAY_ARENA_CALLOC:
        make_zeroed(op, slot);
        break;
    case PLAY_ALIGNED_ALLOC:
    case PLAY_POSIX_MEMALIGN:
    case PLAY_MEMALIGN:
        make_aligned(op, slot);
        break;
    case PLAY_ARENA_MALLOC:
    case PLAY_ARENA_ALIGNED_ALLOC:
        make_in_arena(op, slot);
        break;
    case PLAY_REALLOC:
    case PLAY_REALLOCARRAY:
    case PLAY_ARENA_REALLOC:
        resize(op, slot);
        break;
    case PLAY_FREE:
        if (slot->block == NULL)
            heapster_free(NULL);
        player_release(slot);
        break;
    case PLAY_FREE_SIZED:
    case PLAY_FREE_ALIGNED_SIZED:
        release_sized(op, slot);
        break;
    case PLAY_USABLE_SIZE:
        use_all(slot);
        break;
    case PLAY_OVERFLOW:
        player_overflow(op, slot);
        break;
    default:
        perform_on_heap(op);
    }
}
