/*
 * player_odd: calls that cannot be served, by right or by what they are given. player.h says what is expected of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "player.h"

/* ---- sizes and alignments that nothing can have --------------------------------------------------------------------
 */

static void expect_refusal(const void *block, int number, const char *what, size_t first, size_t second)
{
    if (block != NULL || errno != number)
        fuzz_fail("%s of %zu and %zu is %p, errno %d", what, first, second, block, errno);
    errno = PLAYER_ERRNO;
}

/* No power of two is as large, and the largest there is. */
static void ask_for_alignments(size_t bytes)
{
    const size_t largest = SIZE_MAX / 2 + 1;

    expect_refusal(heapster_memalign(largest + 1 + bytes, bytes), EINVAL, "memalign", largest + 1 + bytes, bytes);
    expect_refusal(heapster_memalign(largest, bytes), ENOMEM, "memalign", largest, bytes);
    expect_refusal(heapster_aligned_alloc(largest, bytes), ENOMEM, "aligned_alloc", largest, bytes);
    /* More than an arena's longest block, and less than what there may be no room for; with 32 bits there is. */
    if (sizeof(size_t) > sizeof(uint32_t))
        expect_refusal(heapster_aligned_alloc(largest / 2, bytes), ENOMEM, "aligned_alloc", largest / 2, bytes);
}

/* Products that do not fit, and requests beyond what a pointer difference can say: NULL and ENOMEM, nothing else. */
void player_overflow(const struct fuzz_op *op, const struct player_slot *slot)
{
    size_t bytes = 1 + op->bytes % 64, fitting = SIZE_MAX / bytes, more = 1U + op->count;
    size_t count = more < SIZE_MAX - fitting ? fitting + more : SIZE_MAX;

    errno = PLAYER_ERRNO;
    if (op->count & 1)
        expect_refusal(heapster_calloc(count, bytes), ENOMEM, "calloc", count, bytes);
    else
        expect_refusal(heapster_reallocarray(slot->block, count, bytes), ENOMEM, "reallocarray", count, bytes);
    if (op->count & 2)
        ask_for_alignments(bytes);
}

/* ---- first-class arenas --------------------------------------------------------------------------------------------
 */

/* What hooks handed out that is not aligned comes back as it was. */
static _Alignas(64) char unaligned[PLAYER_MEMORY_BYTES + 64];
static size_t unaligned_bytes;

static void *map_unaligned(size_t bytes, void *context)
{
    (void)context;
    if (bytes > sizeof unaligned - 8)
        return NULL;
    unaligned_bytes = bytes;
    return unaligned + 8;
}

static void unmap_unaligned(void *base, size_t bytes, void *context)
{
    (void)context;
    if (base != unaligned + 8 || bytes != unaligned_bytes)
        fuzz_fail("hooks get %p, %zu bytes, which they did not hand out", base, bytes);
    unaligned_bytes = 0;
}

static void allocate_from_unaligned(void)
{
    struct heapster_os_hooks hooks = {map_unaligned, unmap_unaligned, NULL};
    heapster_arena *arena = heapster_arena_create(&(struct heapster_arena_config){.hooks = &hooks});

    if (arena == NULL) {
        player_expect_errno(true);
        return;
    }
    expect_refusal(heapster_arena_malloc(arena, 100), ENOMEM, "arena_malloc on unaligned memory", 100, 0);
    heapster_arena_destroy(arena);
    if (unaligned_bytes != 0)
        fuzz_fail("hooks do not get back what cannot be used");
}

/* No arena can be made of these, but of the last. */
static void create_wrongly(unsigned which)
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
    heapster_arena *arena = heapster_arena_create(which < CONFIGS ? &configs[which] : NULL);

    if (which < CONFIGS && (arena != NULL || errno != EINVAL))
        fuzz_fail("an arena of a wrong configuration is %p, errno %d", (void *)arena, errno);
    if (arena == NULL)
        player_expect_errno(true);
    else
        heapster_arena_destroy(arena);
}

void player_create_oddly(unsigned which)
{
    errno = PLAYER_ERRNO;
    if (which % 7 == 6)
        allocate_from_unaligned();
    else
        create_wrongly(which % 7);
}

/* ---- statistics ----------------------------------------------------------------------------------------------------
 */

/* Into nothing, or to where nothing can be written. */
void player_print_stats(const struct fuzz_op *op)
{
    static int nowhere = -1;
    enum heapster_format format = op->extra & 1 ? HEAPSTER_JSON : HEAPSTER_TEXT;

    if (nowhere < 0)
        nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (op->extra & 2) {
        if (heapster_stats_print(-1, format) != EBADF)
            fuzz_fail("stats_print to no file did not say so");
    } else if (heapster_stats_print(nowhere, format) != 0) {
        fuzz_fail("stats_print failed");
    }
}
