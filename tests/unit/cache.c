/*
 * A thread's cache and what stands in its bins: which block malloc takes, where free puts one, what callers see of it,
 * and what does not go into them.
 */
#include "cache_table.h"

#include <unistd.h>

#include "options.h"

/* ---- malloc and free --------------------------------------------------------------------------------------------- */

static void pop_and_push(void *context)
{
    size_t bytes = *(const size_t *)context;
    unsigned count = bytes < 1000 ? 5 : 2; /* two of the largest fill their bin */
    unsigned in_bin, in_bins;

    take(count, bytes);
    in_bin = count_in_bin(hs_cache_self, bytes);
    in_bins = count_in_bins(hs_cache_self);
    give(count);
    REQUIRE(count_in_bin(hs_cache_self, bytes) == in_bin + count);
    REQUIRE(count_in_bins(hs_cache_self) == in_bins + count);
    require_cached(0, count, count);
    for (unsigned i = count; i > 0; i--) {
        REQUIRE(heapster_malloc(bytes) == payloads[i - 1]);
        REQUIRE(state_of(payloads[i - 1]) == HS_STATE_USED);
    }
    REQUIRE(count_in_bins(hs_cache_self) == in_bins);
    give(count);
}

static void malloc_takes_what_free_gave_last(void **state)
{
    static size_t sizes[] = {0, 1, 24, 25, 100, 1000, 1032, 1033, 5000, 20000, LARGEST_REQUEST};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        run_in_thread(pop_and_push, &sizes[i]);
}

static void allocate_without_locks(void *context)
{
    static const size_t sizes[] = {10, 100, 1000, 1500, 30000};
    struct heapster_stats before, after;
    uint64_t locks;

    (void)context;
    hs_options.decay_ms = UINT32_MAX; /* nothing is due meanwhile */
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        heapster_free(heapster_malloc(sizes[i]));
    before = stats_now();
    locks = locks_taken();
    for (unsigned round = 0; round < MANY; round++)
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            payloads[i] = heapster_malloc(sizes[i]);
            REQUIRE(payloads[i] != NULL);
            if (i % 2 == 1)
                heapster_free(payloads[i]);
            else
                payloads[i] = heapster_realloc(payloads[i], 0);
        }
    REQUIRE(locks_taken_since(locks) == 0);
    after = stats_now();
    REQUIRE(after.allocations == before.allocations && after.frees == before.frees);
    REQUIRE(after.used_blocks == before.used_blocks && after.cached_blocks == before.cached_blocks);
}

static void no_lock_is_taken(void **state)
{
    (void)state;
    run_in_thread(allocate_without_locks, NULL);
}

static void go_past_the_cache(void *context)
{
    unsigned in_bins;

    (void)context;
    heapster_free(heapster_malloc(1)); /* makes the cache */
    take(2, HS_CLASS_PAYLOAD_BYTES_MOST + 1);
    in_bins = count_in_bins(hs_cache_self);
    heapster_free(payloads[0]);
    REQUIRE(hs_state_is_free(state_of(payloads[0])));
    REQUIRE(count_in_bins(hs_cache_self) == in_bins);
    heapster_free(payloads[1]);
}

static void blocks_beyond_the_classes_go_to_the_arena(void **state)
{
    (void)state;
    run_in_thread(go_past_the_cache, NULL);
}

/* A free block that is 16 bytes longer than the request's, between used ones. */
static void *make_a_hole(size_t block_bytes)
{
    struct hs_arena *arena = hs_cache_self->arena;
    struct hs_block *before = hs_arena_allocate(arena, 32, 16), *hole = hs_arena_allocate(arena, block_bytes + 16, 16);
    struct hs_block *after = hs_arena_allocate(arena, 32, 16);

    REQUIRE(before != NULL && hole != NULL && after != NULL && hs_block_right(hole) == after);
    (void)hs_arena_release(arena, hole);
    return hs_block_payload(hole);
}

static void take_a_hole(void *context)
{
    bool is_tiny = *(const bool *)context;
    size_t block_bytes = is_tiny ? 1024 : 1168;
    unsigned in_bins;
    void *hole, *block;

    heapster_free(heapster_malloc(LARGEST_REQUEST)); /* makes the cache */
    REQUIRE(heapster_set_strategy(HEAPSTER_BEST_FIT) == 0);
    hole = make_a_hole(block_bytes);
    block = heapster_malloc(block_bytes - HS_TAG_BYTES);
    REQUIRE(block == hole && block_bytes_of(block) == block_bytes + 16);
    REQUIRE(heapster_usable_size(block) == block_bytes + 16 - HS_TAG_BYTES);
    in_bins = count_in_bins(hs_cache_self);
    heapster_free(block);
    if (is_tiny) {
        REQUIRE(count_in_bin(hs_cache_self, block_bytes + 16 - HS_TAG_BYTES) == 1);
        REQUIRE(count_in_bin(hs_cache_self, block_bytes - HS_TAG_BYTES) == 0);
    } else {
        REQUIRE(count_in_bins(hs_cache_self) == in_bins && hs_state_is_free(state_of(block)));
    }
}

/* 1040 bytes are a class, 1184 are none. */
static void blocks_longer_than_asked_for(void **state)
{
    bool is_tiny = true;

    (void)state;
    run_in_thread(take_a_hole, &is_tiny);
    is_tiny = false;
    run_in_thread(take_a_hole, &is_tiny);
}

/* ---- what callers see -------------------------------------------------------------------------------------------- */

static void recycle_and_zero(void *context)
{
    (void)context;
    for (size_t bytes = 1; bytes <= LARGEST_REQUEST; bytes += 1 + bytes / 7) {
        char *dirty = heapster_malloc(bytes), *clean;

        fill_whole_block(dirty, 0xFF);
        heapster_free(dirty);
        clean = heapster_calloc(1, bytes);
        REQUIRE(clean == dirty && is_zero(clean, bytes));
        heapster_free(clean);
    }
}

static void calloc_zeroes_what_was_used_before(void **state)
{
    (void)state;
    run_in_thread(recycle_and_zero, NULL);
}

static void measure_blocks(void *context)
{
    (void)context;
    for (size_t bytes = 0; bytes < 100000; bytes += 1 + bytes / 300) {
        void *block = heapster_malloc(bytes);
        size_t usable_bytes = heapster_usable_size(block), rounded_up = usable_bytes - bytes;

        REQUIRE(usable_bytes >= bytes);
        /* To a block, by an eighth where it is more than tiny, and by what cannot be cut off. */
        REQUIRE(rounded_up <= HS_BLOCK_BYTES_LEAST + HS_ALIGNMENT + (bytes > 1024 ? bytes / 8 : 0));
        heapster_free_sized(block, bytes);
    }
}

static void usable_size_is_an_eighth_more_at_most(void **state)
{
    (void)state;
    run_in_thread(measure_blocks, NULL);
}

/* Between cached sizes, those that are none, and large ones. */
static void resize_at_random(void *context)
{
    static const size_t spans[] = {200, 1100, 5000, 70000, 80000, 400000};
    uint64_t random = 5;
    size_t bytes = 1;
    char *block = heapster_malloc(bytes);

    (void)context;
    fill_pattern(block, bytes, 0);
    for (unsigned i = 1; i < 3 * MANY; i++) {
        size_t wanted = 1 + (size_t)(next_random(&random) % spans[next_random(&random) % COUNT_OF(spans)]);
        unsigned slot = i % MANY;

        heapster_free(payloads[slot]);
        payloads[slot] = heapster_malloc(wanted);
        block = heapster_realloc(block, wanted);
        REQUIRE(block != NULL && holds_pattern(block, bytes < wanted ? bytes : wanted, i - 1));
        fill_pattern(block, wanted, i);
        bytes = wanted;
    }
    heapster_free_sized(block, bytes);
    give(MANY);
}

static void realloc_keeps_the_content(void **state)
{
    (void)state;
    run_in_thread(resize_at_random, NULL);
}

static void shrink_a_little(void *context)
{
    char *block = heapster_malloc(5000);
    size_t block_bytes = block_bytes_of(block);

    (void)context;
    REQUIRE(heapster_realloc(block, 4800) == block && block_bytes_of(block) == block_bytes);
    REQUIRE(heapster_realloc(block, 3000) == block && block_bytes_of(block) < block_bytes);
    REQUIRE(hs_class_of((unsigned)(block_bytes_of(block) / HS_ALIGNMENT)) != HS_CLASS_NONE);
    heapster_free_sized(block, 3000);
    REQUIRE(state_of(block) == HS_STATE_CACHED);
}

static void a_resized_block_is_of_a_class(void **state)
{
    (void)state;
    run_in_thread(shrink_a_little, NULL);
}

/* ---- no cache ---------------------------------------------------------------------------------------------------- */

static void be_served_by_arenas(void *context)
{
    (void)context;
    take(300, 100);
    REQUIRE(!i_have_a_cache());
    give(300);
    for (unsigned i = 0; i < 300; i++)
        REQUIRE(state_of(payloads[i]) != HS_STATE_CACHED);
}

static void start_without_a_cache(void *context)
{
    struct hs_options *options = context;

    hs_options.cache = options->cache;
    hs_options.fill = options->fill;
    be_a_thread(be_served_by_arenas, NULL);
}

static void no_cache_without_the_option(void **state)
{
    struct hs_options options = {.cache = false};

    (void)state;
    run_in_thread(start_without_a_cache, &options);
}

static void no_cache_where_blocks_are_filled(void **state)
{
    struct hs_options options = {.cache = true, .fill = true};

    (void)state;
    run_in_thread(start_without_a_cache, &options);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(malloc_takes_what_free_gave_last),
        cmocka_unit_test(no_lock_is_taken),
        cmocka_unit_test(blocks_beyond_the_classes_go_to_the_arena),
        cmocka_unit_test(blocks_longer_than_asked_for),
        cmocka_unit_test(calloc_zeroes_what_was_used_before),
        cmocka_unit_test(usable_size_is_an_eighth_more_at_most),
        cmocka_unit_test(realloc_keeps_the_content),
        cmocka_unit_test(a_resized_block_is_of_a_class),
        cmocka_unit_test(no_cache_without_the_option),
        cmocka_unit_test(no_cache_where_blocks_are_filled),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
