/*
 * First-class arenas through the public interface: each source of memory, exhaustion, nesting, and destroy.
 */
#include "support.h"

#include <sys/mman.h>

#include "large.h"

enum { BUFFER_BYTES = 64 * 1024, MAPS_MAX = 64 };

static _Alignas(64) char buffer[BUFFER_BYTES];

static heapster_arena *make_on_buffer(void *base, size_t bytes)
{
    struct heapster_arena_config config = {.buffer = base, .buffer_bytes = bytes};

    return heapster_arena_create(&config);
}

/* ---- buffers --------------------------------------------------------------------------------------------------- */

static void buffer_is_used_up_exactly(void **state)
{
    static void *blocks[BUFFER_BYTES / HS_BLOCK_BYTES_LEAST];
    heapster_arena *arena = make_on_buffer(buffer, sizeof buffer);
    uint64_t random = 42;
    size_t count = 0;

    (void)state;
    while ((blocks[count] = heapster_arena_malloc(arena, 24)) != NULL)
        count++;
    assert_int_equal(count, (BUFFER_BYTES - HS_REGION_OVERHEAD_BYTES) / HS_BLOCK_BYTES_LEAST);
    assert_sound();
    while (count > 0) {
        size_t chosen = next_random(&random) % count;

        heapster_free(blocks[chosen]);
        blocks[chosen] = blocks[--count];
    }
    assert_string_equal(layout_of(inside(arena)).text, "F65520");
    assert_sound();
    heapster_arena_destroy(arena);
}

static void buffer_of_any_alignment(void **state)
{
    (void)state;
    for (size_t skipped = 0; skipped < 16; skipped++) {
        heapster_arena *arena = make_on_buffer(buffer + skipped, 1000);
        char *block = heapster_arena_malloc(arena, 100);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 16, 0);
        assert_true(block >= buffer + skipped && block + 100 <= buffer + skipped + 1000);
        assert_sound();
        heapster_arena_destroy(arena);
    }
}

static void nothing_outside_the_buffer_is_written(void **state)
{
    heapster_arena *arena;
    void *block;

    (void)state;
    memset(buffer, 0x77, sizeof buffer);
    arena = make_on_buffer(buffer + 1000, 2000);
    while ((block = heapster_arena_malloc(arena, 40)) != NULL)
        memset(block, 1, 40);
    heapster_arena_destroy(arena);
    for (size_t i = 0; i < 1000; i++)
        assert_true(buffer[i] == 0x77 && buffer[3000 + i] == 0x77);
}

static void buffer_arena_has_no_other_memory(void **state)
{
    heapster_arena *arena = make_on_buffer(buffer, sizeof buffer);
    void *block = heapster_arena_malloc(arena, 100);

    (void)state;
    errno = 0;
    assert_null(heapster_arena_malloc(arena, BUFFER_BYTES));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(heapster_arena_malloc(arena, (size_t)300 << 20));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(heapster_realloc(block, BUFFER_BYTES));
    assert_int_equal(errno, ENOMEM);
    heapster_arena_destroy(arena);
}

static void calloc_in_a_used_buffer_is_zeroed(void **state)
{
    heapster_arena *arena;
    void *block;

    (void)state;
    memset(buffer, 0xFF, sizeof buffer);
    arena = make_on_buffer(buffer, sizeof buffer);
    block = heapster_arena_calloc(arena, 100, 100);
    assert_non_null(block);
    assert_true(is_zero(block, 10000));
    errno = 0;
    assert_null(heapster_arena_calloc(arena, unforeseen(SIZE_MAX / 2), 3));
    assert_int_equal(errno, ENOMEM);
    heapster_arena_destroy(arena);
}

/* ---- hooks ----------------------------------------------------------------------------------------------------- */

static struct {
    struct {
        void *base;
        size_t bytes;
    } maps[MAPS_MAX];
    unsigned mapped, unmapped;
    bool refuses, arguments_right;
} hooked;

static void *map_hook(size_t bytes, void *context)
{
    void *base;

    hooked.arguments_right &= context == &hooked && bytes % HS_GRANULE_BYTES == 0 && bytes != 0;
    if (hooked.refuses || hooked.mapped == MAPS_MAX)
        return NULL;
    base = hs_os_map_aligned(bytes, HS_GRANULE_BYTES, 0);
    hooked.maps[hooked.mapped].base = base;
    hooked.maps[hooked.mapped++].bytes = bytes;
    return base;
}

static void unmap_hook(void *base, size_t bytes, void *context)
{
    bool known = false;

    for (unsigned i = 0; i < hooked.mapped; i++) {
        if (hooked.maps[i].base == base && hooked.maps[i].bytes == bytes) {
            known = true;
            hooked.maps[i].base = NULL;
        }
    }
    hooked.arguments_right &= known && context == &hooked && munmap(base, bytes) == 0;
    hooked.unmapped++;
}

static heapster_arena *make_hooked(void)
{
    static const struct heapster_os_hooks hooks = {map_hook, unmap_hook, &hooked};
    struct heapster_arena_config config = {.strategy = HEAPSTER_BEST_FIT, .hooks = &hooks};

    memset(&hooked, 0, sizeof hooked);
    hooked.arguments_right = true;
    return heapster_arena_create(&config);
}

static void hooks_serve_every_request(void **state)
{
    heapster_arena *arena = make_hooked();
    unsigned mapped;

    (void)state;
    assert_non_null(arena);
    for (size_t bytes = 1; bytes <= (size_t)32 << 20; bytes *= 4) {
        char *block = heapster_arena_malloc(arena, bytes);

        assert_non_null(block);
        block[0] = block[bytes - 1] = 1;
    }
    assert_sound();
    mapped = hooked.mapped;
    assert_true(mapped > 1);
    assert_int_equal(hooked.unmapped, 0);
    heapster_arena_destroy(arena);
    assert_int_equal(hooked.unmapped, mapped);
    assert_true(hooked.arguments_right);
}

static void empty_hooked_regions_go_back_on_trim(void **state)
{
    heapster_arena *arena = make_hooked();
    void *block = heapster_arena_malloc(arena, (size_t)1 << 20);

    (void)state;
    assert_non_null(block);
    heapster_free(block);
    assert_true(heapster_trim(0));
    assert_int_equal(hooked.unmapped, hooked.mapped);
    assert_sound();
    assert_non_null(heapster_arena_malloc(arena, 100));
    heapster_arena_destroy(arena);
    assert_int_equal(hooked.unmapped, hooked.mapped);
    assert_true(hooked.arguments_right);
}

static void hook_that_refuses_means_no_memory(void **state)
{
    heapster_arena *arena = make_hooked();
    void *block = heapster_arena_malloc(arena, 100);

    (void)state;
    hooked.refuses = true;
    errno = 0;
    assert_null(heapster_arena_malloc(arena, (size_t)64 << 20));
    assert_int_equal(errno, ENOMEM);
    assert_sound();
    heapster_free(block);
    heapster_arena_destroy(arena);
    assert_int_equal(hooked.unmapped, hooked.mapped);
}

/* ---- mmap ------------------------------------------------------------------------------------------------------ */

static void mapped_arena_serves_large_requests(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    char *small = heapster_arena_malloc(arena, 100), *large = heapster_arena_malloc(arena, (size_t)1 << 20);
    char *huge = heapster_arena_malloc(arena, (size_t)300 << 20);

    (void)state;
    assert_non_null(small);
    assert_non_null(huge);
    assert_int_equal((uintptr_t)large % hs_os_page_bytes(), 0);
    assert_int_equal(inside(arena)->large->blocks, 2);
    huge[((size_t)300 << 20) - 1] = 1;
    assert_sound();
    heapster_free(huge);
    assert_int_equal(inside(arena)->large->blocks, 1);
    heapster_arena_destroy(arena);
    assert_sound();
}

static void realloc_stays_in_the_arena(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    char *block = heapster_arena_malloc(arena, 100);

    (void)state;
    fill_pattern(block, 100, 1);
    block = heapster_realloc(block, (size_t)1 << 20);
    assert_int_equal(inside(arena)->large->blocks, 1);
    assert_true(holds_pattern(block, 100, 1));
    block = heapster_realloc(block, 1000);
    assert_int_equal(inside(arena)->large->blocks, 0);
    assert_true(holds_pattern(block, 100, 1));
    assert_true(hs_region_holds(inside(arena)->regions, block));
    heapster_arena_destroy(arena);
    assert_sound();
}

/* ---- nesting and destroy --------------------------------------------------------------------------------------- */

static void arena_inside_a_block_inside_an_arena(void **state)
{
    heapster_arena *outer = make_on_buffer(buffer, sizeof buffer), *middle, *inner;
    void *blocks[3], *room;

    (void)state;
    room = heapster_arena_malloc(outer, 16000);
    middle = make_on_buffer(room, 16000);
    room = heapster_arena_malloc(middle, 4000);
    inner = make_on_buffer(room, 4000);
    blocks[0] = heapster_arena_malloc(outer, 100);
    blocks[1] = heapster_arena_malloc(middle, 100);
    blocks[2] = heapster_arena_malloc(inner, 100);
    assert_true(hs_region_holds(inside(inner)->regions, blocks[2]));
    assert_sound();
    for (unsigned i = 0; i < 3; i++)
        heapster_free(blocks[i]);
    assert_string_equal(layout_of(inside(inner)).text, "F3984");
    assert_int_equal(hs_arena_account(inside(middle)).frees, 1);
    assert_int_equal(hs_arena_account(inside(outer)).frees, 1);
    assert_sound();
    heapster_arena_destroy(inner);
    heapster_free(room);
    assert_string_equal(layout_of(inside(middle)).text, "F15984");
    heapster_arena_destroy(middle);
    heapster_arena_destroy(outer);
    assert_sound();
}

static void arena_inside_a_large_block(void **state)
{
    char *room = heapster_malloc((size_t)1 << 20);
    heapster_arena *arena = make_on_buffer(room, (size_t)1 << 20);
    void *first = heapster_arena_malloc(arena, 100), *second = heapster_arena_malloc(arena, 500000);

    (void)state;
    assert_non_null(second);
    second = heapster_realloc(second, 600000);
    assert_non_null(second);
    assert_true(heapster_usable_size(first) >= 100);
    heapster_free(first);
    heapster_free(second);
    assert_sound();
    heapster_arena_destroy(arena);
    heapster_free(room);
    assert_sound();
}

/* The block that an arena lives in belongs to the arena around it, and may be asked for its size while it does. */
static void look_at_the_block_around_an_arena(heapster_arena *outer)
{
    char *room = heapster_arena_malloc(outer, 4096);
    heapster_arena *arena = make_on_buffer(room, 4096);
    char *block = heapster_arena_malloc(arena, 100);

    assert_non_null(block);
    assert_true(heapster_usable_size(room) >= 4096 && heapster_usable_size(room) < 4096 + 32);
    assert_int_equal(heapster_usable_size(block), 104);
    assert_ptr_equal(heapster_realloc(room, 8192), room); /* nothing stands to its right */
    assert_true(heapster_usable_size(room) >= 8192);
    assert_sound();
    heapster_free(block);
    heapster_arena_destroy(arena);
    assert_true(heapster_usable_size(room) >= 8192);
    assert_ptr_equal(heapster_realloc(room, 4096), room);
    heapster_free(room);
    assert_int_equal(hs_arena_account(inside(outer)).frees, 1);
    assert_sound();
    heapster_arena_destroy(outer);
}

static void block_around_an_arena_is_a_block(void **state)
{
    (void)state;
    look_at_the_block_around_an_arena(heapster_arena_create(NULL));
    look_at_the_block_around_an_arena(make_hooked());
    look_at_the_block_around_an_arena(make_on_buffer(buffer, sizeof buffer));
}

/* Whoever gives up the arena inside by not using it any more may free its memory at once. */
static void free_the_block_around_an_arena(void *context)
{
    heapster_arena *outer = heapster_arena_create(NULL);
    char *room = heapster_arena_malloc(outer, 4096);

    (void)context;
    REQUIRE(heapster_arena_malloc(make_on_buffer(room, 4096), 100) != NULL);
    heapster_free(room);
    REQUIRE(hs_arena_account(inside(outer)).frees == 1);
}

static void block_around_a_living_arena_may_be_freed(void **state)
{
    (void)state;
    run_child_quietly(free_the_block_around_an_arena, NULL);
}

static void destroy_frees_everything(void **state)
{
    struct heapster_stats before, after;

    (void)state;
    heapster_stats(&before);
    for (unsigned round = 0; round < 50; round++) {
        heapster_arena *arena = heapster_arena_create(NULL);

        for (size_t bytes = 16; bytes <= (size_t)4 << 20; bytes *= 2)
            assert_non_null(heapster_arena_malloc(arena, bytes));
        heapster_arena_destroy(arena);
    }
    heapster_stats(&after);
    assert_int_equal(after.large_bytes, before.large_bytes);
    assert_int_equal(after.arena_count, before.arena_count);
    assert_int_equal(after.os_munmap_calls - before.os_munmap_calls > 200, 1);
    assert_sound();
    heapster_arena_destroy(NULL);
}

/* ---- refused --------------------------------------------------------------------------------------------------- */

static void assert_refused(const struct heapster_arena_config *config, int expected_errno)
{
    errno = 0;
    assert_null(heapster_arena_create(config));
    assert_int_equal(errno, expected_errno);
}

/* The kernel refuses to unmap, and to take the pages: nothing of it is lost, and it goes back when the kernel will. */
static void destroy_without_unmapping(void *context)
{
    size_t before, with;

    (void)context;
    heapster_free(heapster_malloc(100));
    before = process_bytes(ADDRESS_SPACE_BYTES);
    for (unsigned i = 0; i < 8; i++) {
        heapster_arena *arena = heapster_arena_create(NULL);
        unsigned char *small = heapster_arena_malloc(arena, 100000), *large = heapster_arena_malloc(arena, 4000000);

        REQUIRE(small != NULL && large != NULL);
        memset(small, 0xAB, 100000);
        memset(large, 0xCD, 4000000);
        fail_os_calls(1U << HS_OS_MUNMAP | 1U << HS_OS_MADVISE);
        heapster_arena_destroy(arena);
        fail_os_calls(0);
    }
    with = process_bytes(ADDRESS_SPACE_BYTES);
    for (unsigned i = 0; i < 8; i++) {
        unsigned char *block = heapster_calloc(1, 4000000);

        REQUIRE(block != NULL && is_zero(block, 4000000));
    }
    /* Less, where something decayed meanwhile; a tool maps more for itself. */
    REQUIRE(TOOL_HAS_MEMORY || process_bytes(ADDRESS_SPACE_BYTES) <= with);
    (void)heapster_trim(0);
    REQUIRE(TOOL_HAS_MEMORY || process_bytes(ADDRESS_SPACE_BYTES) < before + (size_t)8 * 4100000);
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
}

static void destroy_loses_no_mapping(void **state)
{
    (void)state;
    run_child_quietly(destroy_without_unmapping, NULL);
}

static void bad_configurations_are_refused(void **state)
{
    static const struct heapster_os_hooks no_map = {NULL, unmap_hook, NULL}, no_unmap = {map_hook, NULL, NULL};
    struct heapster_arena_config bad_strategy = {.strategy = (enum heapster_strategy)4};
    struct heapster_arena_config too_small = {.buffer = buffer, .buffer_bytes = 127};
    struct heapster_arena_config too_large = {.buffer = buffer, .buffer_bytes = (size_t)256 << 20};
    struct heapster_arena_config half_hooks[] = {{.hooks = &no_map}, {.hooks = &no_unmap}};
    heapster_arena *arena;

    (void)state;
    assert_refused(&bad_strategy, EINVAL);
    assert_refused(&too_small, EINVAL);
    assert_refused(&too_large, EINVAL);
    assert_refused(&half_hooks[0], EINVAL);
    assert_refused(&half_hooks[1], EINVAL);
    arena = make_on_buffer(buffer + 1, 128);
    assert_non_null(arena);
    assert_int_equal(heapster_arena_set_strategy(arena, (enum heapster_strategy)4), EINVAL);
    assert_int_equal(heapster_arena_set_strategy(arena, HEAPSTER_WORST_FIT), 0);
    assert_int_equal(inside(arena)->strategy, HEAPSTER_WORST_FIT);
    assert_int_equal(heapster_get_strategy(), HEAPSTER_FIRST_FIT);
    heapster_arena_destroy(arena);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_is_used_up_exactly),
        cmocka_unit_test(buffer_of_any_alignment),
        cmocka_unit_test(nothing_outside_the_buffer_is_written),
        cmocka_unit_test(buffer_arena_has_no_other_memory),
        cmocka_unit_test(calloc_in_a_used_buffer_is_zeroed),
        cmocka_unit_test(hooks_serve_every_request),
        cmocka_unit_test(empty_hooked_regions_go_back_on_trim),
        cmocka_unit_test(hook_that_refuses_means_no_memory),
        cmocka_unit_test(mapped_arena_serves_large_requests),
        cmocka_unit_test(realloc_stays_in_the_arena),
        cmocka_unit_test(arena_inside_a_block_inside_an_arena),
        cmocka_unit_test(arena_inside_a_large_block),
        cmocka_unit_test(block_around_an_arena_is_a_block),
        cmocka_unit_test(block_around_a_living_arena_may_be_freed),
        cmocka_unit_test(destroy_frees_everything),
        cmocka_unit_test(destroy_loses_no_mapping),
        cmocka_unit_test(bad_configurations_are_refused),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
