/*
 * What becomes of memory that was given back: it merges into one block for each region, its pages go to the OS, and a
 * program that has freed everything is as small as before.
 */
#include "support.h"

#include "options.h"

enum { MILLION = 1000000, BLOCK_BYTES = 100 };

static void *blocks[MILLION];

/* ---- merging --------------------------------------------------------------------------------------------------- */

static void take_a_million(heapster_arena *arena)
{
    for (unsigned i = 0; i < MILLION; i++) {
        blocks[i] = arena != NULL ? heapster_arena_malloc(arena, BLOCK_BYTES) : heapster_malloc(BLOCK_BYTES);
        if (blocks[i] == NULL) {
            fail_msg("no memory for block %u", i);
            return;
        }
        *(unsigned *)blocks[i] = i;
    }
}

/* Every second one first, so that none of those has a free neighbour. */
static void give_a_million(void)
{
    for (unsigned step = 0; step < 2; step++)
        for (unsigned i = step; i < MILLION; i += 2) {
            if (*(unsigned *)blocks[i] != i)
                fail_msg("block %u was overwritten", i);
            heapster_free(blocks[i]);
        }
}

static void every_region_is_one_free_block_again(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    uint64_t free_blocks = 0;

    (void)state;
    hs_options.decay_ms = UINT32_MAX; /* so that the regions stay */
    take_a_million(arena);
    give_a_million();
    assert_true(inside(arena)->region_count > 1);
    for (unsigned k = 0; k < HS_LISTS; k++)
        free_blocks += inside(arena)->lists[k].blocks;
    assert_int_equal(free_blocks, inside(arena)->region_count);
    for (struct hs_region *region = inside(arena)->regions; region != NULL; region = region->next)
        assert_int_equal(hs_block_bytes(hs_region_first_block(region)), region->bytes - HS_REGION_OVERHEAD_BYTES);
    assert_sound();
    assert_true(heapster_trim(0));
    assert_int_equal(inside(arena)->region_count, 0);
    heapster_arena_destroy(arena);
}

static void free_blocks_return_to_their_number(void **state)
{
    struct heapster_stats before, after;

    (void)state;
    heapster_stats(&before);
    take_a_million(NULL);
    give_a_million();
    if (has_cache())
        (void)heapster_trim(SIZE_MAX); /* caches give back what they hold */
    heapster_stats(&after);
    assert_int_equal(after.used_bytes, before.used_bytes);
    assert_int_equal(after.cached_blocks, 0);
    /* No more than before, but for what was cut off blocks and regions that came with the million. */
    assert_true(after.free_blocks <= before.free_blocks + after.region_count);
    assert_sound();
}

/* ---- purging --------------------------------------------------------------------------------------------------- */

static uint64_t purged_bytes(void)
{
    return hs_load_relaxed(&hs_os_purged_bytes);
}

/* A free block of many pages between used ones. */
static void free_between(heapster_arena *arena, size_t bytes)
{
    void *before = heapster_arena_malloc(arena, 100), *block = heapster_arena_malloc(arena, bytes);
    void *after = heapster_arena_malloc(arena, 100);

    REQUIRE(before != NULL && block != NULL && after != NULL);
    memset(block, 1, bytes);
    heapster_free(block);
}

static void purge_at_once(void *context)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    size_t bytes = (size_t)200 << 10;
    uint64_t before = purged_bytes();

    (void)context;
    hs_options.decay_ms = 0;
    free_between(arena, bytes);
    REQUIRE(purged_bytes() >= before + bytes - 3 * hs_os_page_bytes());
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
}

static void pages_go_at_once_without_decay(void **state)
{
    (void)state;
    run_child_quietly(purge_at_once, NULL);
}

static void purge_on_request(void *context)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    size_t bytes = (size_t)200 << 10;
    uint64_t before = purged_bytes();

    (void)context;
    hs_options.decay_ms = UINT32_MAX;
    for (unsigned i = 0; i < 10; i++)
        free_between(arena, bytes);
    REQUIRE(purged_bytes() == before);
    REQUIRE(heapster_trim(0));
    REQUIRE(purged_bytes() >= before + bytes - 3 * hs_os_page_bytes());
    before = purged_bytes();
    REQUIRE(!heapster_trim(0)); /* purged already */
    REQUIRE(purged_bytes() == before);
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
}

static void pages_stay_while_decay_is_long(void **state)
{
    (void)state;
    run_child_quietly(purge_on_request, NULL);
}

/* The calls of a program that goes on drive the purge; ends by the test's time limit if they do not. */
static void purge_in_time(void *context)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    uint64_t before = purged_bytes();

    (void)context;
    hs_options.decay_ms = 5;
    free_between(arena, (size_t)200 << 10);
    while (purged_bytes() == before)
        heapster_free(heapster_arena_malloc(arena, (size_t)100 << 10));
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
}

static void pages_go_after_decay(void **state)
{
    (void)state;
    run_child_quietly(purge_in_time, NULL);
}

static void a_callers_buffer_is_never_purged(void **state)
{
    static _Alignas(4096) char buffer[1 << 20];
    struct heapster_arena_config config = {.buffer = buffer, .buffer_bytes = sizeof buffer};
    heapster_arena *arena = heapster_arena_create(&config);
    void *block = heapster_arena_malloc(arena, (size_t)500 << 10);

    (void)state;
    memset(block, 0x5C, (size_t)500 << 10);
    hs_options.decay_ms = 0;
    heapster_free(block);
    (void)heapster_trim(0);
    assert_int_equal(buffer[100000], 0x5C);
    heapster_arena_destroy(arena);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_region_is_one_free_block_again),
        cmocka_unit_test(free_blocks_return_to_their_number),
        cmocka_unit_test(pages_go_at_once_without_decay),
        cmocka_unit_test(pages_stay_while_decay_is_long),
        cmocka_unit_test(pages_go_after_decay),
        cmocka_unit_test(a_callers_buffer_is_never_purged),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
