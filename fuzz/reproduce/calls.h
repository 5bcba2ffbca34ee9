#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With Heapster its own names are called, whosever malloc the process has, and what it promises beyond other mallocs is
 * verified, too. */
#ifdef WITH_HEAPSTER
#include "heapster.h"
#define malloc heapster_malloc
#define calloc heapster_calloc
#define realloc heapster_realloc
#define reallocarray heapster_reallocarray
#define free heapster_free
#define aligned_alloc heapster_aligned_alloc
#define posix_memalign heapster_posix_memalign
#define memalign heapster_memalign
#define valloc heapster_valloc
#define pvalloc heapster_pvalloc
#define malloc_usable_size heapster_usable_size
#define free_of_size heapster_free_sized
#define free_of_aligned_size heapster_free_aligned_sized
#define HEAPSTER(call) (void)(call)
enum { STRICT = 1 };
#else
#define free_of_size(block, bytes) ((void)(bytes), free(block))
#define free_of_aligned_size(block, alignment, bytes) ((void)(alignment), (void)(bytes), free(block))
#define HEAPSTER(call) (void)0
enum { STRICT = 0 };
#endif

#define HELPER __attribute__((unused)) static

/* Blocks of more than WHOLE_BYTES are written at their edges only. */
enum { SLOTS = 32, ARENAS = 4, WHOLE_BYTES = 1024, EDGE_BYTES = 128, ERRNO = 77, FILLED = 0xA5 };

#define LIKELY_BYTES ((size_t)64 << 20)

static struct slot {
    unsigned char *block; /* NULL: none */
    size_t bytes;
    size_t alignment; /* what it was asked for by aligned_alloc, or 0 */
    unsigned key;     /* of its content */
    int where;        /* 0: the heap; otherwise 1 + the number of its arena */
} slots[SLOTS];

static unsigned born;
HELPER bool may_fail; /* calls of the OS were made to fail */

/* ---- what the compiler is not to know ----------------------------------------------------------------------------
 * It would warn of sizes that nothing can serve, and leave out calls whose blocks nobody looks at. */

HELPER size_t hide(size_t bytes)
{
    static volatile size_t hidden;

    hidden = bytes;
    return hidden;
}

HELPER void *hide_block(void *block)
{
    static void *volatile hidden;

    hidden = block;
    return hidden;
}

/* ---- content ------------------------------------------------------------------------------------------------------
 */

HELPER void fail(const char *what, int slot)
{
    (void)fprintf(stderr, "slot %d: %s\n", slot, what);
    abort();
}

static unsigned char content(unsigned key, size_t at)
{
    return (unsigned char)(at * 7 + at / 256 + key * 31 + 1);
}

/* The next byte that is written of so many. */
static size_t next(size_t at, size_t bytes)
{
    return bytes > WHOLE_BYTES && at == EDGE_BYTES - 1 ? bytes - EDGE_BYTES : at + 1;
}

static void fill(const struct slot *slot)
{
    for (size_t at = 0; at < slot->bytes; at = next(at, slot->bytes))
        slot->block[at] = content(slot->key, at);
}

/* The first bytes of what the slot holds, wherever they are now. */
static void verify(const struct slot *slot, const unsigned char *block, size_t bytes)
{
    for (size_t at = 0; at < bytes; at = next(at, slot->bytes))
        if (block[at] != content(slot->key, at))
            fail("a live block changed", (int)(slot - slots));
}

HELPER void expect_zeroed(int slot, const unsigned char *block, size_t bytes)
{
    for (size_t at = 0; block != NULL && at < bytes; at += at < 8192 || bytes - at <= 1024 ? 1 : 64)
        if (block[at] != 0)
            fail("calloc is not zeroed", slot);
}

/* With option fill new blocks are, but for those of calloc. */
HELPER void expect_filled(int slot, const unsigned char *block, size_t bytes)
{
    const char *options = getenv("HEAPSTER_OPTIONS");

    if (!STRICT || block == NULL || options == NULL || strstr(options, "fill=on") == NULL)
        return;
    for (size_t at = 0; at<bytes; at = bytes> WHOLE_BYTES ? next(at, bytes) : at + 1)
        if (block[at] != FILLED)
            fail("a new block is not filled", slot);
}

/* ---- answers ------------------------------------------------------------------------------------------------------
 */

static bool is_power_of_two(size_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

/* Of every malloc's block whatever fits into it is aligned; Heapster's to 16 bytes. */
static bool has_alignment(const void *block, size_t bytes, size_t alignment)
{
    size_t least = STRICT ? 16 : bytes < _Alignof(max_align_t) ? 1 : _Alignof(max_align_t);

    if (!is_power_of_two(alignment))
        return !STRICT;
    return (uintptr_t)block % (alignment > least ? alignment : least) == 0;
}

static void expect_errno(int slot, bool failed)
{
    if (STRICT && (failed ? errno != ENOMEM && errno != EINVAL : errno != ERRNO))
        fail(failed ? "errno does not say why there is no memory" : "errno of a call that succeeded changed", slot);
}

static bool is_scarce(int where);

/* Any malloc may say that there is no memory; Heapster only for a reason. */
static void expect_reason(int slot, size_t bytes, size_t alignment, int where)
{
    expect_errno(slot, true);
    if (STRICT && bytes < LIKELY_BYTES && alignment < LIKELY_BYTES && is_power_of_two(alignment) && !is_scarce(where) &&
        !may_fail)
        fail("no memory without a reason", slot);
}

static void expect_apart(int slot, const unsigned char *block, size_t bytes)
{
    for (int other = 0; other < SLOTS; other++)
        if (other != slot && slots[other].block != NULL && block < slots[other].block + slots[other].bytes &&
            slots[other].block < block + bytes)
            fail("the block overlaps another", slot);
}

static bool settle(int slot, unsigned char *block, size_t bytes, size_t alignment, int where)
{
    if (block == NULL) {
        expect_reason(slot, bytes, alignment, where);
        return false;
    }
    expect_errno(slot, false);
    if (!has_alignment(block, bytes, alignment))
        fail("a misaligned block", slot);
    if (malloc_usable_size(block) < bytes)
        fail("the block is too short", slot);
    expect_apart(slot, block, bytes);
    slots[slot] = (struct slot){block, bytes, 0, born++, where};
    fill(&slots[slot]);
    return true;
}

static void release(int slot)
{
    if (slots[slot].block == NULL)
        return;
    verify(&slots[slot], slots[slot].block, slots[slot].bytes);
    errno = ERRNO;
    free(slots[slot].block);
    expect_errno(slot, false);
    slots[slot].block = NULL;
}

HELPER size_t count_live(void)
{
    size_t live = 0;

    for (int slot = 0; slot < SLOTS; slot++)
        live += slots[slot].block != NULL;
    return live;
}

/* ---- first-class arenas -------------------------------------------------------------------------------------------
 * Other mallocs have none: there the heap serves them all. */

#ifdef WITH_HEAPSTER
enum source { BUFFER, SMALL_BUFFER, HOOKS, OS };

enum { SMALL_BYTES = 2048, DIRT = 0xC3 };

static const int sources[ARENAS] = SOURCES;
static heapster_arena *arenas[ARENAS];
static _Alignas(65536) char memory[ARENAS][BUFFER_BYTES];
static size_t handed_out[ARENAS];

static bool is_scarce(int where)
{
    return where != 0 && sources[where - 1] != OS;
}

static void *map(size_t bytes, void *context)
{
    char(*mine)[BUFFER_BYTES] = context;
    size_t *used = &handed_out[mine - memory];

    if (bytes > BUFFER_BYTES - *used)
        return NULL;
    *used += bytes;
    return *mine + *used - bytes;
}

static void unmap(void *base, size_t bytes, void *context)
{
    (void)base;
    (void)bytes;
    (void)context;
}

static heapster_arena *make_arena(int lane)
{
    struct heapster_os_hooks hooks = {map, unmap, memory[lane]};
    struct heapster_arena_config config = {.strategy = (enum heapster_strategy)lane};

    if (sources[lane] == BUFFER || sources[lane] == SMALL_BUFFER) {
        config.buffer = memory[lane];
        config.buffer_bytes = sources[lane] == BUFFER ? BUFFER_BYTES : SMALL_BYTES;
    } else if (sources[lane] == HOOKS) {
        config.hooks = &hooks;
        handed_out[lane] = 0;
    }
    errno = ERRNO;
    arenas[lane] = heapster_arena_create(&config);
    expect_errno(-1, arenas[lane] == NULL);
    if (arenas[lane] == NULL && !may_fail)
        fail("no first-class arena", -1);
    return arenas[lane];
}

/* It is made when it is first used. */
HELPER heapster_arena *arena(int where)
{
    return arenas[where - 1] != NULL ? arenas[where - 1] : make_arena(where - 1);
}

HELPER bool is_there(int where)
{
    return where == 0 || arena(where) != NULL;
}

#define IN(where, call, in_arena) ((where) == 0 ? (call) : (in_arena))
#else
#define is_there(where) true
#define IN(where, call, in_arena) ((void)(where), (call))

HELPER bool is_scarce(int where)
{
    return where != 0;
}
#endif

HELPER void play_arena_destroy(int where)
{
    for (int slot = 0; slot < SLOTS; slot++) {
        if (slots[slot].block == NULL || slots[slot].where != where)
            continue;
        verify(&slots[slot], slots[slot].block, slots[slot].bytes);
        if (!STRICT)
            free(slots[slot].block);
        slots[slot].block = NULL;
    }
    HEAPSTER(heapster_arena_destroy(arenas[where - 1]));
    HEAPSTER(arenas[where - 1] = NULL);
}

/* ---- calls --------------------------------------------------------------------------------------------------------
 * What makes a block in a slot that is taken frees the old one first. */

HELPER void play_malloc(int where, int slot, size_t bytes)
{
    unsigned char *block;

    release(slot);
    if (!is_there(where))
        return;
    errno = ERRNO;
    block = hide_block(IN(where, malloc(hide(bytes)), heapster_arena_malloc(arena(where), hide(bytes))));
    expect_filled(slot, block, bytes);
    (void)settle(slot, block, bytes, 1, where);
}

HELPER void play_calloc(int where, int slot, size_t count, size_t each)
{
    unsigned char *block;

    release(slot);
    if (!is_there(where))
        return;
    errno = ERRNO;
    block = hide_block(
        IN(where, calloc(hide(count), hide(each)), heapster_arena_calloc(arena(where), hide(count), hide(each))));
    expect_zeroed(slot, block, count * each);
    (void)settle(slot, block, count * each, 1, where);
}

HELPER void play_aligned_alloc(int where, int slot, size_t alignment, size_t bytes)
{
    unsigned char *block;

    release(slot);
    if (!is_there(where))
        return;
    errno = ERRNO;
    block = hide_block(IN(where, aligned_alloc(hide(alignment), hide(bytes)),
                          heapster_arena_aligned_alloc(arena(where), hide(alignment), hide(bytes))));
    expect_filled(slot, block, bytes);
    if (settle(slot, block, bytes, alignment, where) && where == 0)
        slots[slot].alignment = alignment;
}

HELPER void play_posix_memalign(int slot, size_t alignment, size_t bytes)
{
    void *block = NULL;
    int status;

    release(slot);
    errno = ERRNO;
    status = posix_memalign(&block, hide(alignment), hide(bytes));
    expect_errno(slot, false);
    if (!is_power_of_two(alignment) || alignment < sizeof(void *)) {
        if (status != EINVAL)
            fail("posix_memalign took a wrong alignment", slot);
        return;
    }
    errno = status == 0 ? ERRNO : status;
    block = status == 0 ? hide_block(block) : NULL;
    expect_filled(slot, block, bytes);
    (void)settle(slot, block, bytes, alignment, 0);
}

/* Heapster and glibc round an alignment up to a power of two. */
HELPER void play_memalign(int slot, size_t alignment, size_t bytes)
{
    size_t promised = STRICT ? 16 : alignment;
    unsigned char *block;

    while (STRICT && promised < alignment)
        promised *= 2;
    release(slot);
    errno = ERRNO;
    block = hide_block(memalign(hide(alignment), hide(bytes)));
    expect_filled(slot, block, bytes);
    (void)settle(slot, block, bytes, promised, 0);
}

HELPER void play_valloc(int slot, size_t bytes)
{
    unsigned char *block;

    release(slot);
    errno = ERRNO;
    block = hide_block(valloc(hide(bytes)));
    expect_filled(slot, block, bytes);
    (void)settle(slot, block, bytes, (size_t)sysconf(_SC_PAGESIZE), 0);
}

/* Of 0 bytes Heapster makes a page. */
HELPER void play_pvalloc(int slot, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = STRICT && bytes == 0 ? page : bytes;
    unsigned char *block;

    release(slot);
    errno = ERRNO;
    block = hide_block(pvalloc(hide(bytes)));
    whole = whole > SIZE_MAX - page ? whole : (whole + page - 1) & ~(page - 1);
    expect_filled(slot, block, whole);
    (void)settle(slot, block, whole, page, 0);
}

/* realloc to 0 bytes frees, and may make another block. */
static void resized(int slot, void *answer, size_t bytes, int where)
{
    struct slot old = slots[slot];
    unsigned char *block = hide_block(answer);

    if (old.block != NULL && bytes == 0) {
        if (STRICT && block != NULL)
            fail("realloc to 0 bytes returned a block", slot);
        expect_errno(slot, false);
        slots[slot].block = NULL;
        if (block == NULL)
            return;
    }
    if (block == NULL) {
        expect_reason(slot, bytes, 1, where);
        return;
    }
    if (old.block != NULL)
        verify(&old, block, bytes < old.bytes ? bytes : old.bytes);
    else
        expect_filled(slot, block, bytes);
    slots[slot].block = NULL;
    (void)settle(slot, block, bytes, 1, where);
}

/* A block stays where it is, whichever arena is named. */
static int place_of(int slot, int where)
{
    return slots[slot].block != NULL ? slots[slot].where : where;
}

static void verify_slot(int slot)
{
    if (slots[slot].block != NULL)
        verify(&slots[slot], slots[slot].block, slots[slot].bytes);
}

HELPER void play_realloc(int where, int slot, size_t bytes)
{
    unsigned char *block = slots[slot].block;

    if (!is_there(where))
        return;
    verify_slot(slot);
    errno = ERRNO;
    block = IN(where, realloc(block, hide(bytes)), heapster_arena_realloc(arena(where), block, hide(bytes)));
    resized(slot, block, bytes, place_of(slot, where));
}

HELPER void play_reallocarray(int slot, size_t count, size_t each)
{
    verify_slot(slot);
    errno = ERRNO;
    resized(slot, reallocarray(slots[slot].block, hide(count), hide(each)), count * each, place_of(slot, 0));
}

HELPER void play_free(int slot)
{
    if (slots[slot].block == NULL)
        free(hide_block(NULL));
    release(slot);
}

/* C23's, which not every libc has: free stands for them there. */
static void release_sized(int slot, bool is_aligned, size_t nothing)
{
    struct slot *mine = &slots[slot];
    size_t bytes = mine->block != NULL ? mine->bytes : nothing;

    verify_slot(slot);
    errno = ERRNO;
    if (is_aligned && (mine->block == NULL || mine->alignment != 0))
        free_of_aligned_size(mine->block, mine->block != NULL ? mine->alignment : 16, bytes);
    else
        free_of_size(mine->block, bytes);
    expect_errno(slot, false);
    mine->block = NULL;
}

/* `nothing` is the size that NULL is said to have. */
HELPER void play_free_sized(int slot, size_t nothing)
{
    release_sized(slot, false, nothing);
}

HELPER void play_free_aligned_sized(int slot, size_t nothing)
{
    release_sized(slot, true, nothing);
}

/* A program may use all that malloc_usable_size says. */
HELPER void play_usable_size(int slot)
{
    unsigned char *block = slots[slot].block;
    size_t usable = malloc_usable_size(block), bytes = slots[slot].bytes;

    if (block == NULL) {
        if (usable != 0)
            fail("NULL has usable bytes", slot);
        return;
    }
    verify_slot(slot);
    for (size_t at = bytes; at < usable && at < bytes + 64; at++)
        block[at] = 0xEE;
    if (usable > bytes)
        block[usable - 1] = 0xEE;
}

HELPER void expect_refusal(int slot, void *answer, int number)
{
    if (hide_block(answer) != NULL)
        fail("what nothing can serve was served", slot);
    if (STRICT && errno != number)
        fail("errno does not say why nothing can serve it", slot);
    errno = ERRNO;
}

HELPER void ask_for_alignments(int slot, size_t bytes)
{
    const size_t largest = SIZE_MAX / 2 + 1;

    expect_refusal(slot, memalign(hide(largest + 1 + bytes), hide(bytes)), EINVAL);
    expect_refusal(slot, memalign(hide(largest), hide(bytes)), ENOMEM);
    expect_refusal(slot, aligned_alloc(hide(largest), hide(bytes)), ENOMEM);
    if (sizeof(size_t) > sizeof(uint32_t))
        expect_refusal(slot, aligned_alloc(hide(largest / 2), hide(bytes)), ENOMEM);
}

/* A product that does not fit; the slot's block stays. */
HELPER void play_calloc_overflow(int slot, size_t count, size_t bytes)
{
    errno = ERRNO;
    expect_refusal(slot, calloc(hide(count), hide(bytes)), ENOMEM);
}

HELPER void play_reallocarray_overflow(int slot, size_t count, size_t bytes)
{
    errno = ERRNO;
    expect_refusal(slot, reallocarray(slots[slot].block, hide(count), hide(bytes)), ENOMEM);
}

/* Which of many blocks is the next to go: in order, backwards, every second one and then those between, from both ends.
 */
HELPER size_t place_in_order(int order, size_t step, size_t count)
{
    size_t half = (count + 1) / 2;

    if (order == 0)
        return step;
    if (order == 1)
        return count - 1 - step;
    if (order == 2)
        return step < half ? 2 * step : 2 * (step - half) + 1;
    return step % 2 == 0 ? step / 2 : count - 1 - step / 2;
}

HELPER void play_burst(size_t wanted, size_t bytes, int order)
{
    static unsigned char *blocks[65536];
    size_t count = 0;

    errno = ERRNO;
    while (count < wanted && (blocks[count] = hide_block(malloc(hide(bytes)))) != NULL) {
        expect_filled(-1, blocks[count], bytes);
        memcpy(blocks[count], &count, sizeof count);
        memcpy(blocks[count] + bytes - sizeof count, &count, sizeof count);
        count++;
    }
    if (count < wanted)
        expect_reason(-1, bytes, 1, 0);
    errno = ERRNO;
    for (size_t step = 0; step < count; step++) {
        size_t at = place_in_order(order, step, count);

        if (memcmp(blocks[at], &at, sizeof at) != 0 || memcmp(blocks[at] + bytes - sizeof at, &at, sizeof at) != 0)
            fail("one of many blocks changed", -1);
        free(blocks[at]);
    }
    expect_errno(-1, false);
}

/* ---- what only Heapster has ---------------------------------------------------------------------------------------
 */

#ifdef WITH_HEAPSTER
static size_t others; /* blocks that were there before */

static void report_broken(const char *invariant, const void *address, const char *text, void *context)
{
    (void)context;
    (void)fprintf(stderr, "%s at %p: %s\n", invariant, address, text);
}

HELPER void play_check(enum heapster_check_mode mode)
{
    if (heapster_check(mode, report_broken, NULL) != 0)
        fail("the heap is broken", -1);
}

HELPER void play_set_strategy(int strategy)
{
    if ((heapster_set_strategy((enum heapster_strategy)strategy) == 0) != (strategy < 4))
        fail("set_strategy", -1);
}

HELPER void play_arena_set_strategy(int where, int strategy)
{
    if (arena(where) != NULL &&
        (heapster_arena_set_strategy(arena(where), (enum heapster_strategy)strategy) == 0) != (strategy < 4))
        fail("arena_set_strategy", -1);
}

HELPER void play_stats(void)
{
    struct heapster_stats stats;

    heapster_stats(&stats);
    if (stats.used_blocks != others + count_live())
        fail("the statistics count other blocks than there are", -1);
}

/* Into nothing, or to where nothing can be written. */
HELPER void play_stats_print(bool is_nowhere, enum heapster_format format)
{
    int file = is_nowhere ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (heapster_stats_print(file, format) != (is_nowhere ? EBADF : 0))
        fail("stats_print", -1);
    if (!is_nowhere)
        (void)close(file);
}

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

/* It stops after so many blocks, or at the end. */
HELPER void play_walk(unsigned blocks)
{
    struct tour tour = {blocks, 0};
    size_t visited = heapster_walk(visit_block, &tour);

    if (tour.left == 0 && visited != blocks)
        fail("walk did not stop where it was told to", -1);
    if (blocks == UINT_MAX && tour.used != others + count_live())
        fail("walk finds other blocks than there are", -1);
}

static _Alignas(64) char unaligned[512 * 1024 + 64];
static size_t unaligned_bytes;

HELPER void *map_unaligned(size_t bytes, void *context)
{
    (void)context;
    if (bytes > sizeof unaligned - 8)
        return NULL;
    unaligned_bytes = bytes;
    return unaligned + 8;
}

HELPER void unmap_unaligned(void *base, size_t bytes, void *context)
{
    (void)context;
    if (base != unaligned + 8 || bytes != unaligned_bytes)
        fail("hooks get what they did not hand out", -1);
    unaligned_bytes = 0;
}

HELPER void play_arena_on_unaligned(void)
{
    struct heapster_os_hooks hooks = {map_unaligned, unmap_unaligned, NULL};
    heapster_arena *odd;

    errno = ERRNO;
    odd = heapster_arena_create(&(struct heapster_arena_config){.hooks = &hooks});
    if (odd == NULL) {
        expect_errno(-1, true);
        return;
    }
    expect_refusal(-1, heapster_arena_malloc(odd, 100), ENOMEM);
    heapster_arena_destroy(odd);
    if (unaligned_bytes != 0)
        fail("hooks do not get back what cannot be used", -1);
}

/* No arena can be made of these, but of the last, which is none. */
HELPER void play_arena_create_wrongly(unsigned which)
{
    static char buffer[64];
    struct heapster_os_hooks no_hooks = {NULL, NULL, NULL}, no_unmap = {map_unaligned, NULL, NULL};
    const struct heapster_arena_config configs[] = {
        {.strategy = (enum heapster_strategy)4},
        {.buffer = buffer, .buffer_bytes = sizeof buffer},
        {.buffer = buffer, .buffer_bytes = SIZE_MAX},
        {.hooks = &no_hooks},
        {.hooks = &no_unmap},
    };
    enum { CONFIGS = sizeof configs / sizeof *configs };
    heapster_arena *odd;

    errno = ERRNO;
    odd = heapster_arena_create(which < CONFIGS ? &configs[which] : NULL);
    if (which < CONFIGS && (odd != NULL || errno != EINVAL))
        fail("an arena of a wrong configuration", -1);
    if (odd == NULL)
        expect_errno(-1, true);
    else
        heapster_arena_destroy(odd);
}

/* Options are read once, before main: the program starts itself anew with them. */
static void take_options(char **argv)
{
    if (getenv("HEAPSTER_OPTIONS") != NULL)
        return;
    (void)setenv("HEAPSTER_OPTIONS", OPTIONS, 1);
    (void)execv("/proc/self/exe", argv);
    fail("cannot start anew with the options", -1);
}

/* A MiB of free memory, neither zeroed nor filled, is there before each program. */
static void make_quiet(void)
{
    size_t bytes = (size_t)1 << 20;
    void *block;

    heapster_set_mmap_threshold(2 * bytes);
    block = heapster_malloc(bytes);
    if (block != NULL)
        memset(block, DIRT, bytes);
    heapster_free(block);
    heapster_set_mmap_threshold((size_t)256 * 1024);
}

static void begin(char **argv, int strategy)
{
    struct tour tour = {UINT_MAX, 0};

    take_options(argv);
    memset(memory, DIRT, sizeof memory);
    make_quiet();
    (void)heapster_walk(visit_block, &tour);
    others = tour.used;
    if ((int)heapster_get_strategy() != strategy)
        play_set_strategy(strategy);
}
#else
static void begin(char **argv, int strategy)
{
    (void)argv;
    (void)strategy;
}
#endif

HELPER void destroy_all(void)
{
    for (int where = 1; where <= ARENAS; where++)
        HEAPSTER(arenas[where - 1] != NULL ? play_arena_destroy(where) : (void)0);
}

HELPER void release_all(void)
{
    for (int slot = 0; slot < SLOTS; slot++)
        release(slot);
}

HELPER void end(void)
{
    HEAPSTER(play_check(HEAPSTER_CHECK_AT_REST));
    destroy_all();
    release_all();
    HEAPSTER(play_check(HEAPSTER_CHECK_AT_REST));
    HEAPSTER(play_stats());
}
