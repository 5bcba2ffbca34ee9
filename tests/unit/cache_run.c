/*
 * Runs: the piece of memory that a cache cuts blocks of any small size from, in the order in which they are asked for.
 */
#include "cache_support.h"

#include <stdatomic.h>

enum { MANY = 2000, ROUNDS = 300 };

static void *payloads[MANY];

static size_t mixed_bytes(unsigned i)
{
    return 9 + i * 37 % 180;
}

/* ---- cutting ----------------------------------------------------------------------------------------------------- */

static void take_mixed_sizes(void *context)
{
    unsigned neighbours = 0;

    (void)context;
    heapster_free(heapster_malloc(50000)); /* makes the cache */
    for (unsigned i = 0; i < MANY; i++) {
        payloads[i] = heapster_malloc(mixed_bytes(i));
        if (i > 0 && hs_block_right(hs_block_of(payloads[i])) == hs_block_of(payloads[i - 1]))
            neighbours++;
    }
    REQUIRE(neighbours > MANY * 8 / 10);
    for (unsigned i = 0; i < MANY; i++)
        heapster_free_sized(payloads[i], mixed_bytes(i));
}

static void blocks_lie_side_by_side_in_order_of_allocation(void **state)
{
    (void)state;
    run_in_thread(take_mixed_sizes, NULL);
}

static void follow_the_runs(void *context)
{
    size_t bytes, first_bytes = 0, most_bytes = 0;
    unsigned runs = 0;

    (void)context;
    for (unsigned i = 0; i < MANY; i++) {
        const struct hs_block *run = hs_cache_self == &hs_cache_none ? NULL : hs_cache_self->run;

        payloads[i] = heapster_malloc(150);
        if (hs_cache_self->run == run)
            continue;
        bytes = hs_block_bytes(hs_cache_self->run);
        REQUIRE(bytes <= (size_t)8 * 1024 + HS_ALIGNMENT);
        if (runs++ == 0)
            first_bytes = bytes;
        most_bytes = bytes > most_bytes ? bytes : most_bytes;
    }
    REQUIRE(first_bytes <= 2048 + HS_ALIGNMENT && most_bytes >= (size_t)8 * 1024 && runs >= 4);
}

/* One block costs a short run; a thread that takes many gets longer ones. */
static void runs_grow_with_use(void **state)
{
    (void)state;
    run_in_thread(follow_the_runs, NULL);
}

static void use_up_a_run(void *context)
{
    const struct hs_block *run;
    size_t rest_bytes = 0;
    unsigned taken = 0;

    (void)context;
    payloads[taken++] = heapster_malloc(100);
    run = hs_cache_self->run;
    REQUIRE(run != NULL && hs_block_state(run) == HS_STATE_RUN);
    while (hs_cache_self->run == run) {
        rest_bytes = hs_load_relaxed(&hs_cache_self->run_bytes);
        REQUIRE(rest_bytes >= HS_BLOCK_BYTES_LEAST && hs_block_tile_bytes(run) == rest_bytes);
        payloads[taken++] = heapster_malloc(100);
    }
    REQUIRE(hs_block_state(run) == HS_STATE_CACHED && hs_block_bytes(run) == rest_bytes);
    REQUIRE(rest_bytes < 112 + HS_BLOCK_BYTES_LEAST);
    REQUIRE(heapster_malloc(rest_bytes - HS_TAG_BYTES) == hs_block_payload(run));
    heapster_free(hs_block_payload(run));
    for (unsigned i = 0; i < taken; i++)
        heapster_free(payloads[i]);
}

static void the_rest_of_a_run_is_a_block(void **state)
{
    (void)state;
    run_in_thread(use_up_a_run, NULL);
}

static void ask_for_much(void *context)
{
    const struct hs_block *run;
    size_t bytes;
    void *small = heapster_malloc(100), *large;

    (void)context;
    run = hs_cache_self->run;
    bytes = hs_load_relaxed(&hs_cache_self->run_bytes);
    large = heapster_malloc(20000);
    REQUIRE(run == hs_cache_self->run && bytes == hs_load_relaxed(&hs_cache_self->run_bytes));
    heapster_free(large);
    heapster_free(small);
}

static void a_longer_request_does_not_end_the_run(void **state)
{
    (void)state;
    run_in_thread(ask_for_much, NULL);
}

static void count_each_block(void *context)
{
    struct heapster_stats before = stats_now(), after;

    (void)context;
    for (unsigned i = 0; i < MANY; i++) {
        payloads[i] = heapster_malloc(mixed_bytes(i));
        after = stats_now();
        REQUIRE(after.used_blocks == before.used_blocks + 1);
        REQUIRE(after.used_bytes == before.used_bytes + block_bytes_of(payloads[i]));
        before = after;
        if (i % 100 == 0)
            require_sound();
    }
    for (unsigned i = 0; i < MANY; i++) {
        size_t bytes = block_bytes_of(payloads[i]);

        heapster_free(payloads[i]);
        after = stats_now();
        REQUIRE(after.used_blocks == before.used_blocks - 1);
        REQUIRE(after.used_bytes == before.used_bytes - bytes);
        before = after;
    }
}

static void statistics_know_what_was_cut(void **state)
{
    (void)state;
    run_in_thread(count_each_block, NULL);
}

/* ---- looked at meanwhile ----------------------------------------------------------------------------------------- */

static atomic_bool stop;

static bool expect_a_whole_block(const struct heapster_block_info *info, void *context)
{
    bool *is_whole = context;

    *is_whole &= info->block_bytes >= HS_BLOCK_BYTES_LEAST && info->block_bytes % HS_ALIGNMENT == 0;
    return true;
}

static void *look_all_the_time(void *context)
{
    (void)context;
    while (!atomic_load(&stop)) {
        bool is_whole = true;

        REQUIRE(heapster_walk(expect_a_whole_block, &is_whole) > 0);
        REQUIRE(is_whole);
        /* That each begins where the one before it ends. */
        REQUIRE(heapster_check(HEAPSTER_CHECK_RUNNING, NULL, NULL) == 0);
    }
    return NULL;
}

static void cut_while_others_look(void *context)
{
    void *something_to_look_at = heapster_malloc(1); /* also where all else was trimmed */
    pthread_t looker;

    (void)context;
    REQUIRE(pthread_create(&looker, NULL, look_all_the_time, NULL) == 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < 300; i++) {
            payloads[i] = heapster_malloc(mixed_bytes(i + round));
            fill_pattern(payloads[i], mixed_bytes(i + round), i);
        }
        for (unsigned i = 0; i < 300; i++) {
            REQUIRE(holds_pattern(payloads[i], mixed_bytes(i + round), i));
            heapster_free(payloads[i]);
        }
        if (round % 8 == 0)
            (void)heapster_trim(SIZE_MAX); /* the next round begins with the arena */
    }
    atomic_store(&stop, true);
    REQUIRE(pthread_join(looker, NULL) == 0);
    heapster_free(something_to_look_at);
}

static void the_heap_tiles_at_any_moment(void **state)
{
    (void)state;
    run_in_thread(cut_while_others_look, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_lie_side_by_side_in_order_of_allocation),
        cmocka_unit_test(runs_grow_with_use),
        cmocka_unit_test(the_rest_of_a_run_is_a_block),
        cmocka_unit_test(a_longer_request_does_not_end_the_run),
        cmocka_unit_test(statistics_know_what_was_cut),
        cmocka_unit_test(the_heap_tiles_at_any_moment),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
