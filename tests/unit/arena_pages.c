/*
 * What an arena asks of the kernel for the pages it grows by: huge ones, once it is large, which are purged whole or
 * not at all; and their memory in one call. Both in children, whose break is their own.
 */
#include "support.h"

#include <sys/mman.h>

#include "heap.h"
#include "options.h"

#define MEBIBYTE ((size_t)1 << 20)

enum { PIECE_BYTES = 128 << 10 };

static struct hs_arena *make_arena(enum hs_region_kind source)
{
    struct hs_arena *arena = hs_heap_add_arena(source, HEAPSTER_FIRST_FIT, NULL);

    REQUIRE(arena != NULL);
    hs_options.decay_ms = UINT32_MAX;
    return arena;
}

static char *take(struct hs_arena *arena, size_t bytes)
{
    char *block = heapster_arena_malloc((heapster_arena *)arena, bytes);

    REQUIRE(block != NULL);
    return block;
}

static void grow_to(struct hs_arena *arena, size_t bytes)
{
    while (arena->region_bytes < bytes)
        (void)take(arena, PIECE_BYTES);
}

static void require_sound(void)
{
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
}

static uint64_t advised(void)
{
    return os_calls_made(HS_OS_MADVISE);
}

static bool is_resident(const char *address)
{
    uintptr_t page = (uintptr_t)address & ~(hs_os_page_bytes() - 1);
    unsigned char residency = 0;

    REQUIRE(mincore((void *)page, 1, &residency) == 0);
    return (residency & 1) != 0;
}

/* ---- huge pages ------------------------------------------------------------------------------------------------ */

static bool any_region_is_huge(const struct hs_arena *arena)
{
    bool is_huge = false;

    for (const struct hs_region *region = arena->regions; region != NULL; region = region->next) {
        const char *end = region->base + hs_load_relaxed(&region->bytes);

        if (region->huge_from == NULL)
            continue;
        REQUIRE((uintptr_t)region->huge_from % HS_HUGE_PAGE_BYTES == 0);
        REQUIRE((uintptr_t)region->huge_to % HS_HUGE_PAGE_BYTES == 0);
        REQUIRE(region->base <= region->huge_from && region->huge_from < region->huge_to);
        /* The page with the END tag, which is touched at once, is in none of them. */
        REQUIRE(region->huge_to < end);
        is_huge = true;
    }
    return is_huge;
}

static void ask_for_huge_pages(void *context)
{
    struct hs_arena *arena = make_arena(*(const enum hs_region_kind *)context);

    hs_options.hugepages = true;
    grow_to(arena, 40 * MEBIBYTE);
    REQUIRE(advised() == 0 && !any_region_is_huge(arena));
    grow_to(arena, 400 * MEBIBYTE);
    REQUIRE(advised() > 0 && any_region_is_huge(arena));
    require_sound();
}

static void large_arena_asks_for_huge_pages(void **state)
{
    enum hs_region_kind source = HS_REGION_BREAK;

    (void)state;
    run_child_quietly(ask_for_huge_pages, &source);
    source = HS_REGION_MAPPED;
    run_child_quietly(ask_for_huge_pages, &source);
}

static void ask_for_nothing(void *context)
{
    struct hs_arena *arena = make_arena(HS_REGION_BREAK);

    (void)context;
    hs_options.hugepages = hs_options.populate = false;
    grow_to(arena, 200 * MEBIBYTE);
    REQUIRE(advised() == 0 && !any_region_is_huge(arena));
}

static void nothing_is_asked_when_switched_off(void **state)
{
    (void)state;
    run_child_quietly(ask_for_nothing, NULL);
}

static void be_refused(void *context)
{
    struct hs_arena *arena = make_arena(HS_REGION_BREAK);

    (void)context;
    hs_options.hugepages = hs_options.populate = true;
    fail_os_calls(1U << HS_OS_MADVISE);
    grow_to(arena, 200 * MEBIBYTE);
    REQUIRE(advised() > 0 && !any_region_is_huge(arena));
    fail_os_calls(0);
    require_sound();
}

static void kernel_may_refuse(void **state)
{
    (void)state;
    run_child_quietly(be_refused, NULL);
}

/* An arena in which a region has huge pages, and a block of 8 MiB in them. */
static char *take_in_huge_pages(struct hs_arena *arena)
{
    char *block = NULL;

    hs_options.hugepages = true;
    grow_to(arena, 65 * MEBIBYTE);
    do {
        const struct hs_region *region;

        block = take(arena, 8 * MEBIBYTE);
        region = hs_region_find(block);
        if (region->huge_from != NULL && block >= region->huge_from && block + 8 * MEBIBYTE <= region->huge_to)
            break;
        REQUIRE(arena->region_bytes < 1000 * MEBIBYTE);
    } while (true);
    (void)take(arena, PIECE_BYTES);
    memset(block, 0xEE, 8 * MEBIBYTE);
    return block;
}

static void purge_huge_pages(void *context)
{
    struct hs_arena *arena = make_arena(HS_REGION_BREAK);
    char *block = take_in_huge_pages(arena);
    char *first = block + hs_bytes_to_multiple((uintptr_t)block, HS_HUGE_PAGE_BYTES);
    uint64_t purged;

    (void)context;
    (void)hs_arena_trim(arena, 0); /* what else is free */
    purged = hs_load_relaxed(&hs_os_purged_bytes);
    heapster_free(block);
    (void)hs_arena_trim(arena, 0);
    purged = hs_load_relaxed(&hs_os_purged_bytes) - purged;
    REQUIRE(purged >= 3 * HS_HUGE_PAGE_BYTES && purged % HS_HUGE_PAGE_BYTES == 0);
    REQUIRE(is_zero(first, 3 * HS_HUGE_PAGE_BYTES));
    /* What is no whole huge page stays. */
    REQUIRE(first == block || first[-1] == (char)0xEE);
    require_sound();
}

static void huge_pages_are_purged_whole(void **state)
{
    (void)state;
    run_child_quietly(purge_huge_pages, NULL);
}

static void purge_less_than_a_huge_page(void *context)
{
    struct hs_arena *arena = make_arena(HS_REGION_BREAK);
    char *block = take_in_huge_pages(arena), *inner;
    uint64_t purged;

    (void)context;
    heapster_free(block);
    inner = take(arena, MEBIBYTE);
    REQUIRE(inner == block);
    REQUIRE(take(arena, PIECE_BYTES) == block + MEBIBYTE + HS_ALIGNMENT);
    REQUIRE(take(arena, 7 * MEBIBYTE - 2 * PIECE_BYTES) > block);
    (void)hs_arena_trim(arena, 0);
    purged = hs_load_relaxed(&hs_os_purged_bytes);
    heapster_free(inner);
    (void)hs_arena_trim(arena, 0);
    REQUIRE(hs_load_relaxed(&hs_os_purged_bytes) == purged);
    require_sound();
}

static void part_of_a_huge_page_is_not_purged(void **state)
{
    (void)state;
    run_child_quietly(purge_less_than_a_huge_page, NULL);
}

static void lower_the_break(void *context)
{
    struct hs_arena *arena = make_arena(HS_REGION_BREAK);
    char *blocks[40];
    unsigned count = 0;

    (void)context;
    hs_options.hugepages = true;
    grow_to(arena, 100 * MEBIBYTE);
    while (count < COUNT_OF(blocks))
        blocks[count++] = take(arena, MEBIBYTE);
    for (; count > 0; count--) {
        const struct hs_region *top = arena->break_top;
        const char *end;

        heapster_free(blocks[count - 1]);
        (void)hs_arena_trim(arena, 0);
        end = top->base + hs_load_relaxed(&top->bytes);
        REQUIRE(top->huge_to <= end);
        REQUIRE(end <= top->huge_from || end > top->huge_to || (uintptr_t)end % HS_HUGE_PAGE_BYTES == 0);
        require_sound();
    }
    grow_to(arena, 300 * MEBIBYTE);
    require_sound();
}

static void break_is_lowered_by_whole_huge_pages(void **state)
{
    (void)state;
    run_child_quietly(lower_the_break, NULL);
}

/* ---- populating ------------------------------------------------------------------------------------------------ */

static void populate_what_is_new(void *context)
{
    struct hs_arena *arena = make_arena(HS_REGION_BREAK);
    size_t before;
    char *end;

    (void)context;
    hs_options.populate = true;
    grow_to(arena, 2 * MEBIBYTE);
    REQUIRE(advised() == 0);
    grow_to(arena, 16 * MEBIBYTE);
    REQUIRE(advised() > 0);
    before = arena->region_bytes;
    while (arena->region_bytes == before)
        (void)take(arena, PIECE_BYTES);
    REQUIRE(arena->region_bytes - before <= MEBIBYTE);
    end = arena->break_top->base + hs_load_relaxed(&arena->break_top->bytes);
    /* Unless the kernel is too old: the fault seam knows nothing of that. */
    if (hs_os_populate(end - HS_GRANULE_BYTES, HS_GRANULE_BYTES))
        REQUIRE(is_resident(end - MEBIBYTE / 2) && is_resident(end - HS_GRANULE_BYTES - 1));
    require_sound();
}

static void growing_arena_is_populated(void **state)
{
    (void)state;
    run_child_quietly(populate_what_is_new, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_arena_asks_for_huge_pages),
        cmocka_unit_test(nothing_is_asked_when_switched_off),
        cmocka_unit_test(kernel_may_refuse),
        cmocka_unit_test(huge_pages_are_purged_whole),
        cmocka_unit_test(part_of_a_huge_page_is_not_purged),
        cmocka_unit_test(break_is_lowered_by_whole_huge_pages),
        cmocka_unit_test(growing_arena_is_populated),
    };

    use_break();
    return run_named(tests, COUNT_OF(tests), argc, argv);
}
