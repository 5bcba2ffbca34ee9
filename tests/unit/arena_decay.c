/*
 * How long the pages of a free block lie unused: the age of a block goes on with what is cut from it and with what it
 * is merged into, so that the small calls of a program do not keep the memory of a spike from going back.
 *
 * Nothing here waits. The option decay_ms is longer than any run, ages are written into the free blocks, and decay is
 * told what time it is: one at which all that was freed before the test is due, and all that it frees itself is not.
 */
#include "support.h"

#include "heap.h"
#include "options.h"

enum { BIG_BYTES = 200 << 10, LITTLE_BYTES = 1000 };

#define DECAY_MS ((uint64_t)UINT32_MAX)

static uint64_t began_ms;

static uint64_t purged_bytes(void)
{
    return hs_load_relaxed(&hs_os_purged_bytes);
}

static struct hs_free_block *node_of(const void *payload)
{
    return (struct hs_free_block *)hs_block_of(payload);
}

/* Under worst fit every request is cut from the largest free block. */
static heapster_arena *make_arena(void)
{
    static const struct heapster_arena_config config = {.strategy = HEAPSTER_WORST_FIT};
    heapster_arena *arena = heapster_arena_create(&config);

    REQUIRE(arena != NULL);
    hs_options.decay_ms = DECAY_MS;
    began_ms = hs_os_now_ms();
    return arena;
}

static void make_old(const void *payload)
{
    REQUIRE(hs_state_is_free(hs_block_state(hs_block_of(payload))));
    node_of(payload)->dirty_since_ms = 0;
}

static char *free_old_block(heapster_arena *arena)
{
    char *before = heapster_arena_malloc(arena, 100), *block = heapster_arena_malloc(arena, BIG_BYTES);
    char *after = heapster_arena_malloc(arena, 100);

    REQUIRE(before != NULL && block != NULL && after != NULL);
    memset(block, 1, BIG_BYTES);
    heapster_free(block);
    make_old(block);
    return block;
}

/* How many bytes decay gives back of what became free before the test began. */
static uint64_t decay_of_the_old(heapster_arena *arena)
{
    uint64_t before = purged_bytes();

    inside(arena)->purge_due_ms = 1;
    hs_arena_decay(inside(arena), began_ms + DECAY_MS - 1);
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
    return purged_bytes() - before;
}

/* ---- cut ------------------------------------------------------------------------------------------------------- */

static void cut_an_old_block(void *context)
{
    heapster_arena *arena = make_arena();
    char *block = free_old_block(arena), *little = heapster_arena_malloc(arena, LITTLE_BYTES);

    (void)context;
    REQUIRE(little == block);
    REQUIRE(node_of(block + hs_block_bytes(hs_block_of(little)))->dirty_since_ms == 0);
    REQUIRE(decay_of_the_old(arena) >= BIG_BYTES - LITTLE_BYTES - 3 * hs_os_page_bytes());
}

static void remainder_of_a_cut_keeps_its_age(void **state)
{
    (void)state;
    run_child_quietly(cut_an_old_block, NULL);
}

static void grow_into_an_old_block(void *context)
{
    heapster_arena *arena = make_arena();
    char *left = heapster_arena_malloc(arena, 100), *block = heapster_arena_malloc(arena, BIG_BYTES), *grown;

    (void)context;
    REQUIRE(heapster_arena_malloc(arena, 100) != NULL);
    heapster_free(block);
    make_old(block);
    grown = heapster_realloc(left, LITTLE_BYTES);
    REQUIRE(grown == left);
    REQUIRE(decay_of_the_old(arena) >= BIG_BYTES - LITTLE_BYTES - 3 * hs_os_page_bytes());
}

static void remainder_of_a_growth_keeps_its_age(void **state)
{
    (void)state;
    run_child_quietly(grow_into_an_old_block, NULL);
}

static void cut_a_purged_block(void *context)
{
    heapster_arena *arena = make_arena();
    char *block = free_old_block(arena);
    uint64_t purged = purged_bytes();

    (void)context;
    REQUIRE(heapster_trim(0) && purged_bytes() > purged);
    purged = purged_bytes();
    REQUIRE(heapster_arena_malloc(arena, LITTLE_BYTES) == block);
    REQUIRE(!heapster_trim(0));
    REQUIRE(purged_bytes() == purged);
}

static void remainder_of_a_purged_block_is_purged(void **state)
{
    (void)state;
    run_child_quietly(cut_a_purged_block, NULL);
}

/* ---- merge ----------------------------------------------------------------------------------------------------- */

static void use_an_old_block_a_little(void *context)
{
    heapster_arena *arena = make_arena();
    char *block = free_old_block(arena);

    (void)context;
    for (unsigned i = 0; i < 100; i++) {
        char *little = heapster_arena_malloc(arena, LITTLE_BYTES);

        REQUIRE(little == block);
        heapster_free(little);
    }
    REQUIRE(decay_of_the_old(arena) >= BIG_BYTES - 3 * hs_os_page_bytes());
}

static void small_calls_do_not_make_an_old_block_young(void **state)
{
    (void)state;
    run_child_quietly(use_an_old_block_a_little, NULL);
}

/* The little block stands left of the old one, or right of it. */
static void merge_with_an_old_block(void *context)
{
    bool to_the_left = *(const bool *)context;
    heapster_arena *arena = make_arena();
    char *left = heapster_arena_malloc(arena, LITTLE_BYTES), *block = heapster_arena_malloc(arena, BIG_BYTES);
    char *right = heapster_arena_malloc(arena, LITTLE_BYTES), *guard = heapster_arena_malloc(arena, 100);

    REQUIRE(left != NULL && guard != NULL);
    heapster_free(block);
    make_old(block);
    heapster_free(to_the_left ? left : right);
    REQUIRE(decay_of_the_old(arena) >= BIG_BYTES - 3 * hs_os_page_bytes());
}

static void merge_with_a_short_young_block_is_old(void **state)
{
    bool to_the_left = true;

    (void)state;
    run_child_quietly(merge_with_an_old_block, &to_the_left);
    to_the_left = false;
    run_child_quietly(merge_with_an_old_block, &to_the_left);
}

/* The other way round: what has just been freed is the longer part. It goes with what has waited long enough. */
static void merge_with_a_longer_young_block(void *context)
{
    heapster_arena *arena = make_arena();
    char *old = heapster_arena_malloc(arena, BIG_BYTES / 3), *young = heapster_arena_malloc(arena, BIG_BYTES / 2);
    char *guard = heapster_arena_malloc(arena, 100);

    (void)context;
    REQUIRE(guard != NULL && young > old);
    heapster_free(old);
    make_old(old);
    heapster_free(young);
    REQUIRE(decay_of_the_old(arena) >= BIG_BYTES / 3 + BIG_BYTES / 2 - 3 * hs_os_page_bytes());
}

static void merge_with_a_longer_young_block_is_old(void **state)
{
    (void)state;
    run_child_quietly(merge_with_a_longer_young_block, NULL);
}

/* ---- who looks ------------------------------------------------------------------------------------------------- */

/* At any time: even with the longest decay an age of 0 is due. */
static void make_due(struct hs_arena *arena, const void *payload)
{
    make_old(payload);
    arena->purge_due_ms = 1;
}

static void free_small_blocks_in_an_arena(void *context)
{
    heapster_arena *arena = make_arena();
    char *blocks[3];
    uint64_t before = purged_bytes();

    (void)context;
    for (unsigned i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = heapster_arena_malloc(arena, 40);
    REQUIRE(heapster_arena_set_strategy((heapster_arena *)arena, HEAPSTER_FIRST_FIT) == 0);
    make_due(inside(arena), free_old_block(arena));
    /* Between two used blocks: none of these frees makes a block that is worth purging. */
    for (unsigned i = 0; i < 1024; i++) {
        heapster_free(blocks[1]);
        REQUIRE(heapster_arena_malloc(arena, 40) == blocks[1]);
    }
    REQUIRE(purged_bytes() >= before + BIG_BYTES - 3 * hs_os_page_bytes());
}

static void small_frees_look_at_decay(void **state)
{
    (void)state;
    run_child_quietly(free_small_blocks_in_an_arena, NULL);
}

/* The heap's own arenas are looked at once in a tick of the clock; ends by the alarm if they are not. */
static void free_small_blocks_in_the_heap(void *context)
{
    char *blocks[3], *old, *guard;
    uint64_t before = purged_bytes();

    (void)context;
    hs_options.decay_ms = DECAY_MS;
    old = heapster_malloc(BIG_BYTES);
    guard = heapster_malloc(100);
    for (unsigned i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = heapster_malloc(40);
    REQUIRE(old != NULL && guard != NULL);
    heapster_free(old);
    make_due(hs_heap_arena(), old);
    while (purged_bytes() == before) {
        heapster_free(blocks[1]);
        blocks[1] = heapster_malloc(40);
        REQUIRE(blocks[1] != NULL);
    }
}

static void small_frees_look_at_decay_of_the_heap(void **state)
{
    (void)state;
    run_child_quietly(free_small_blocks_in_the_heap, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(remainder_of_a_cut_keeps_its_age),
        cmocka_unit_test(remainder_of_a_growth_keeps_its_age),
        cmocka_unit_test(remainder_of_a_purged_block_is_purged),
        cmocka_unit_test(small_calls_do_not_make_an_old_block_young),
        cmocka_unit_test(merge_with_a_short_young_block_is_old),
        cmocka_unit_test(merge_with_a_longer_young_block_is_old),
        cmocka_unit_test(small_frees_look_at_decay),
        cmocka_unit_test(small_frees_look_at_decay_of_the_heap),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
