/*
 * Where an arena's memory comes from and goes to: the break, mappings where the break has none, and trimming. Most of
 * it runs in a child, since the break is the process's own.
 */
#include "support.h"

#include <unistd.h>

#include "heap.h"

/* An arena of its own on the break. Nothing else allocates in the child, so the break stays where it leaves it. */
static struct hs_arena *make_break_arena(void)
{
    struct hs_arena *arena = hs_heap_add_arena(HS_REGION_BREAK, HEAPSTER_FIRST_FIT, NULL);

    REQUIRE(arena != NULL);
    return arena;
}

static void *take(struct hs_arena *arena, size_t bytes)
{
    return heapster_arena_malloc((heapster_arena *)arena, bytes);
}

static void require_sound(void)
{
    struct complaints complaints = complaints_of(HEAPSTER_CHECK_AT_REST);

    REQUIRE(complaints.count == 0);
}

/* ---- growing --------------------------------------------------------------------------------------------------- */

static void grow_the_top(void *context)
{
    struct hs_arena *arena = make_break_arena();
    char *first = take(arena, 1000), *second;
    size_t before = arena->region_bytes;

    (void)context;
    REQUIRE(first != NULL && arena->region_count == 1 && arena->regions->kind == HS_REGION_BREAK);
    /* Larger than the free tail, which becomes its beginning. */
    second = take(arena, before);
    REQUIRE(second == first + 1008 && arena->region_count == 1 && arena->region_bytes > before);
    require_sound();
    heapster_free(first);
    heapster_free(second);
    REQUIRE(layout_of(arena).text[0] == 'F' && strchr(layout_of(arena).text, ' ') == NULL);
    require_sound();
}

static void break_extends_the_free_tail(void **state)
{
    (void)state;
    run_child_quietly(grow_the_top, NULL);
}

static void grow_beside_a_foreign_break(void *context)
{
    struct hs_arena *arena = make_break_arena();
    size_t before;

    (void)context;
    REQUIRE(take(arena, 1000) != NULL);
    before = arena->region_bytes;
    REQUIRE(sbrk(100) != (void *)-1);
    REQUIRE(take(arena, before) != NULL);
    REQUIRE(arena->region_count >= 2 && arena->regions->kind == HS_REGION_BREAK);
    require_sound();
}

static void foreign_break_makes_another_region(void **state)
{
    (void)state;
    run_child_quietly(grow_beside_a_foreign_break, NULL);
}

static void grow_without_a_break(void *context)
{
    struct hs_arena *arena = make_break_arena();
    void *block;

    (void)context;
    fail_os_calls(1U << HS_OS_SBRK);
    block = take(arena, 1000);
    REQUIRE(block != NULL && arena->regions->kind == HS_REGION_MAPPED);
    fail_os_calls(0);
    require_sound();
    REQUIRE(take(arena, 2 * arena->region_bytes) != NULL);
    REQUIRE(arena->region_count == 2 && arena->regions->kind == HS_REGION_BREAK);
    require_sound();
}

static void mapping_serves_where_the_break_fails(void **state)
{
    (void)state;
    run_child_quietly(grow_without_a_break, NULL);
}

static void grow_without_memory(void *context)
{
    struct hs_arena *arena = make_break_arena();
    void *block = take(arena, 1000), *none;
    size_t bytes = arena->region_bytes;

    (void)context;
    fill_pattern(block, 1000, 1);
    fail_os_calls(~0U);
    errno = 0;
    none = take(arena, 10 * bytes);
    REQUIRE(none == NULL && errno == ENOMEM);
    none = heapster_realloc(block, 10 * bytes);
    REQUIRE(none == NULL && errno == ENOMEM);
    REQUIRE(take(arena, 1000) != NULL); /* there still is a free block */
    require_sound();
    fail_os_calls(0);
    REQUIRE(arena->region_bytes == bytes && holds_pattern(block, 1000, 1));
    REQUIRE(take(arena, 10 * bytes) != NULL);
    require_sound();
}

static void no_memory_leaves_the_heap_intact(void **state)
{
    (void)state;
    run_child_quietly(grow_without_memory, NULL);
}

static void grow_past_the_limit(void *context)
{
    struct hs_arena *arena = make_break_arena();

    (void)context;
    for (int i = 0; i < 5; i++)
        REQUIRE(take(arena, (size_t)100 << 20) != NULL);
    REQUIRE(arena->region_count >= 2);
    for (struct hs_region *region = arena->regions; region != NULL; region = region->next)
        REQUIRE(region->bytes <= HS_REGION_BYTES_MAX);
    require_sound();
}

static void regions_stay_below_their_limit(void **state)
{
    (void)state;
    run_child_quietly(grow_past_the_limit, NULL);
}

static void take_the_largest_request(void *context)
{
    struct hs_arena *arena = make_break_arena();
    char *block = take(arena, HS_ARENA_REQUEST_MAX - 4096);

    (void)context;
    REQUIRE(block != NULL);
    block[0] = block[HS_ARENA_REQUEST_MAX - 4097] = 1;
    require_sound();
    errno = 0;
    REQUIRE(take(arena, HS_ARENA_REQUEST_MAX) == NULL && errno == ENOMEM);
    heapster_free(block);
    require_sound();
}

static void largest_request_fits_a_region(void **state)
{
    (void)state;
    run_child_quietly(take_the_largest_request, NULL);
}

/* ---- trimming -------------------------------------------------------------------------------------------------- */

static void trim_the_top(void *context)
{
    struct hs_arena *arena = make_break_arena();
    void *block = take(arena, (size_t)4 << 20);
    char *top = sbrk(0);
    size_t region_bytes = arena->region_bytes;

    (void)context;
    REQUIRE(block != NULL && (char *)block + ((size_t)4 << 20) <= top);
    heapster_free(block);
    /* All but a megabyte. */
    REQUIRE(heapster_trim((size_t)1 << 20));
    REQUIRE((char *)sbrk(0) < top && arena->region_bytes < region_bytes);
    REQUIRE(arena->region_bytes >= (size_t)1 << 20 && arena->region_bytes <= ((size_t)1 << 20) + 2 * HS_GRANULE_BYTES);
    require_sound();
    REQUIRE(heapster_trim(0));
    REQUIRE(arena->region_bytes == 0 && arena->region_count == 0);
    REQUIRE(!heapster_trim(0));
    require_sound();
    REQUIRE(take(arena, 1000) != NULL);
    require_sound();
}

static void trim_lowers_the_break(void **state)
{
    (void)state;
    run_child_quietly(trim_the_top, NULL);
}

static void trim_below_a_used_block(void *context)
{
    struct hs_arena *arena = make_break_arena();
    void *low = take(arena, 1000), *high = take(arena, (size_t)2 << 20);

    (void)context;
    fill_pattern(low, 1000, 5);
    heapster_free(high);
    REQUIRE(heapster_trim(0));
    REQUIRE(arena->region_bytes <= 2 * HS_GRANULE_BYTES);
    REQUIRE(holds_pattern(low, 1000, 5));
    require_sound();
    high = take(arena, (size_t)2 << 20);
    REQUIRE(high != NULL && arena->region_count == 1);
    require_sound();
}

static void trim_keeps_what_is_used(void **state)
{
    (void)state;
    run_child_quietly(trim_below_a_used_block, NULL);
}

static void trim_a_mapping(void *context)
{
    struct hs_arena *arena = inside(heapster_arena_create(NULL));
    void *block = take(arena, 1000);

    (void)context;
    REQUIRE(block != NULL && arena->region_count == 1 && arena->regions->kind == HS_REGION_MAPPED);
    heapster_free(block);
    REQUIRE(heapster_trim(0) && arena->region_count == 0);
    REQUIRE(hs_region_was_released(block));
    require_sound();
}

static void trim_unmaps_empty_regions(void **state)
{
    (void)state;
    run_child_quietly(trim_a_mapping, NULL);
}

/* Two free blocks of many pages in the midst of used ones: their pages go, their content is lost, nothing else is. */
static void trim_pages_inside(void *context)
{
    struct hs_arena *arena = make_break_arena();
    size_t bytes = (size_t)128 << 10, page = hs_os_page_bytes();
    char *blocks[5];
    uint64_t purged = hs_load_relaxed(&hs_os_purged_bytes);

    (void)context;
    for (unsigned i = 0; i < 5; i++) {
        blocks[i] = take(arena, bytes);
        REQUIRE(blocks[i] != NULL);
        fill_pattern(blocks[i], bytes, i);
    }
    heapster_free(blocks[1]);
    heapster_free(blocks[3]);
    REQUIRE(heapster_trim(0));
    REQUIRE(hs_load_relaxed(&hs_os_purged_bytes) >= purged + 2 * (bytes - 3 * page));
    REQUIRE(is_zero(blocks[1] + page, bytes - 3 * page));
    for (unsigned i = 0; i < 5; i += 2)
        REQUIRE(holds_pattern(blocks[i], bytes, i));
    require_sound();
}

static void trim_purges_pages_inside_free_blocks(void **state)
{
    (void)state;
    run_child_quietly(trim_pages_inside, NULL);
}

static void trim_after_a_foreign_sbrk(void *context)
{
    struct hs_arena *arena = make_break_arena();
    void *low = take(arena, 1000), *high;

    (void)context;
    REQUIRE(sbrk(100) != (void *)-1);
    high = take(arena, (size_t)2 << 20);
    REQUIRE(low != NULL && high != NULL);
    heapster_free(high);
    (void)heapster_trim(0); /* the break must not be lowered any more; this must end all the same */
    require_sound();
    high = take(arena, (size_t)2 << 20);
    REQUIRE(high != NULL);
    require_sound();
}

static void trim_ends_where_the_break_is_not_to_be_lowered(void **state)
{
    (void)state;
    run_child_quietly(trim_after_a_foreign_sbrk, NULL);
}

static void trim_where_nothing_is_taken_back(void *context)
{
    struct hs_arena *mapped = inside(heapster_arena_create(NULL)), *on_break = make_break_arena();
    void *one = take(mapped, (size_t)200 << 10), *other = take(on_break, (size_t)2 << 20);

    (void)context;
    REQUIRE(one != NULL && other != NULL);
    heapster_free(one);
    heapster_free(other);
    fail_os_calls(1U << HS_OS_MUNMAP | 1U << HS_OS_SBRK);
    (void)heapster_trim(0);
    fail_os_calls(0);
    require_sound();
    REQUIRE(mapped->region_count == 1);
    REQUIRE(heapster_trim(0) && mapped->region_count == 0);
    require_sound();
}

static void trim_ends_where_the_os_takes_nothing_back(void **state)
{
    (void)state;
    run_child_quietly(trim_where_nothing_is_taken_back, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(break_extends_the_free_tail),
        cmocka_unit_test(foreign_break_makes_another_region),
        cmocka_unit_test(mapping_serves_where_the_break_fails),
        cmocka_unit_test(no_memory_leaves_the_heap_intact),
        cmocka_unit_test(regions_stay_below_their_limit),
        cmocka_unit_test(largest_request_fits_a_region),
        cmocka_unit_test(trim_lowers_the_break),
        cmocka_unit_test(trim_keeps_what_is_used),
        cmocka_unit_test(trim_unmaps_empty_regions),
        cmocka_unit_test(trim_purges_pages_inside_free_blocks),
        cmocka_unit_test(trim_ends_where_the_break_is_not_to_be_lowered),
        cmocka_unit_test(trim_ends_where_the_os_takes_nothing_back),
    };

    use_break();
    return run_named(tests, COUNT_OF(tests), argc, argv);
}
