/*
 * What caches take from an arena and give back to it, many blocks at a time: what becomes of neighbours, how many locks
 * that takes, which blocks the strategy chooses, and runs.
 *
 * The arena is one on a buffer of the test's, so that every block stands where the test expects it.
 */
#include "arena_batch.h"
#include "support.h"

enum { ROOM = 65536, BLOCKS = 40, BLOCK_BYTES = 512 };

static _Alignas(16) char buffers[2][ROOM];
static heapster_arena *arenas[2];
static struct hs_arena *arena; /* the first one */
static void *blocks[BLOCKS];

static int begin(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct heapster_arena_config config = {.buffer = buffers[i], .buffer_bytes = ROOM};

        arenas[i] = heapster_arena_create(&config);
        assert_non_null(arenas[i]);
    }
    arena = inside(arenas[0]);
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        heapster_arena_destroy(arenas[i]);
    return 0;
}

/* `count` neighbours from the beginning of the arena, and what follows them is in use, too. */
static void take(unsigned count)
{
    void *guard;

    for (unsigned i = 0; i < count; i++) {
        blocks[i] = heapster_arena_malloc(arenas[0], BLOCK_BYTES - HS_TAG_BYTES);
        assert_non_null(blocks[i]);
    }
    guard = heapster_arena_malloc(arenas[0], 24);
    assert_non_null(guard);
}

/* As caches hold them. */
static void hold(void *payload)
{
    hs_block_set_state(hs_block_of(payload), HS_STATE_CACHED);
}

static bool give(void *const *order, unsigned count)
{
    void *payloads[HS_BATCH_BLOCKS_MOST];

    for (unsigned i = 0; i < count; i++) {
        hold(order[i]);
        payloads[i] = order[i];
    }
    return hs_arena_give_batch(arena, payloads, count);
}

static void assert_layout(const char *expected)
{
    struct layout layout = layout_of(arena);
    size_t length = strlen(expected);

    layout.text[length] = '\0'; /* the rest of the buffer */
    assert_string_equal(layout.text, expected);
    assert_sound();
}

static uint64_t locks_taken(const struct hs_arena *of)
{
    uint64_t taken = hs_load_relaxed(&of->lock.acquired);

    for (unsigned k = 0; k < HS_LISTS; k++)
        taken += hs_load_relaxed(&of->lists[k].lock.acquired);
    return taken;
}

/* ---- give back --------------------------------------------------------------------------------------------------- */

static void give_in_order(const unsigned *order)
{
    uint64_t locks = locks_taken(arena);
    void *ordered[4];

    for (unsigned i = 0; i < 4; i++)
        ordered[i] = blocks[order[i]];
    (void)give(ordered, 4);
    assert_int_equal(locks_taken(arena) - locks, 2); /* to join them, and to publish what they became */
    assert_layout("F2048 U32");
    for (unsigned i = 0; i < 4; i++)
        assert_ptr_equal(heapster_arena_malloc(arenas[0], BLOCK_BYTES - HS_TAG_BYTES), blocks[i]);
}

/* In each of the 24 orders that four blocks can come in. */
static void neighbours_become_one_block(void **state)
{
    (void)state;
    take(4);
    for (unsigned code = 0; code < 256; code++) {
        const unsigned order[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6 & 3};
        unsigned seen = 0;

        for (unsigned i = 0; i < 4; i++)
            seen |= 1U << order[i];
        if (seen == 15)
            give_in_order(order);
    }
}

static void neighbours_merge_with_what_is_free_beside_them(void **state)
{
    (void)state;
    take(8);
    heapster_free(blocks[1]);
    heapster_free(blocks[4]);
    (void)give(blocks + 2, 2);
    assert_layout("U512 F2048 U512 U512 U512 U32");
    heapster_free(blocks[6]);
    (void)give(blocks + 7, 1);
    assert_layout("U512 F2048 U512 F1024 U32");
    (void)give(blocks + 5, 1);
    assert_layout("U512 F3584 U32");
}

static void blocks_apart_stay_apart(void **state)
{
    void *apart[BLOCKS / 2];
    uint64_t locks;

    (void)state;
    take(BLOCKS);
    for (unsigned i = 0; i < BLOCKS / 2; i++)
        apart[i] = blocks[(size_t)2 * i];
    locks = locks_taken(arena);
    (void)give(apart, BLOCKS / 2);
    assert_int_equal(locks_taken(arena) - locks, 1); /* all of them go to one list */
    assert_layout("F512 U512 F512 U512 F512 U512");
    for (unsigned i = 0; i < BLOCKS / 2; i++)
        assert_true(hs_state_is_free(hs_block_state(hs_block_of(apart[i]))));
}

/* Pieces of a batch that meet each other when they are published: the block between them is given with them. */
static void pieces_of_a_batch_meet(void **state)
{
    void *mixed[BLOCKS];
    unsigned count = 0;

    (void)state;
    take(BLOCKS);
    for (unsigned i = 0; i < BLOCKS; i++)
        if (i % 5 != 3)
            mixed[count++] = blocks[(i * 7) % BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++)
        if (i % 5 == 3)
            heapster_free(blocks[(i * 7) % BLOCKS]);
    (void)give(mixed, count);
    assert_layout("F20480 U32");
}

static void the_account_knows_what_was_given(void **state)
{
    struct hs_account before, after;

    (void)state;
    take(10);
    before = hs_arena_account(arena);
    (void)give(blocks + 2, 5);
    after = hs_arena_account(arena);
    assert_int_equal(after.frees, before.frees + 5);
    assert_int_equal(after.used_bytes, before.used_bytes - 5 * (uint64_t)BLOCK_BYTES);
    assert_int_equal(after.claimed, after.settled);
    assert_false(hs_arena_give_batch(arena, NULL, 0));
}

/* ---- take -------------------------------------------------------------------------------------------------------- */

/* The same holes in both arenas: blocks of `bytes`, in the order of a fixed sequence, each between used ones. */
static void make_holes(size_t bytes, unsigned count)
{
    for (unsigned a = 0; a < 2; a++) {
        void *holes[BLOCKS], *between = NULL;

        for (unsigned i = 0; i < count; i++) {
            holes[i] = heapster_arena_malloc(arenas[a], bytes + (size_t)(i % 3) * 16 - HS_TAG_BYTES);
            between = heapster_arena_malloc(arenas[a], 24);
        }
        assert_non_null(between);
        for (unsigned i = 0; i < count; i++)
            heapster_free(holes[i * 11 % count]);
    }
}

static void set_strategies(enum heapster_strategy strategy)
{
    for (unsigned a = 0; a < 2; a++)
        assert_int_equal(heapster_arena_set_strategy(arenas[a], strategy), 0);
}

static struct hs_batch take_batch(size_t block_bytes, unsigned most)
{
    struct hs_batch batch = {.most = most};

    assert_true(hs_arena_take_batch(arena, block_bytes, 0, &batch));
    assert_true(batch.count >= 1 && batch.count <= most && batch.run == NULL);
    return batch;
}

static void compare_with_single_blocks(size_t block_bytes)
{
    for (unsigned taken = 0; taken < 12;) {
        struct hs_batch batch = take_batch(block_bytes, 5);

        for (unsigned i = 0; i < batch.count; i++) {
            const char *single = heapster_arena_malloc(arenas[1], block_bytes - HS_TAG_BYTES);

            assert_int_equal((const char *)batch.payloads[i] - buffers[0], single - buffers[1]);
            assert_int_equal(hs_block_state(hs_block_of(batch.payloads[i])), HS_STATE_CACHED);
            assert_true(hs_block_bytes(hs_block_of(batch.payloads[i])) >= block_bytes);
        }
        taken += batch.count;
    }
}

/* A batch takes what as many single searches would. */
static void batch_is_chosen_by_the_strategy(void **state)
{
    static const size_t sizes[] = {96, 512};

    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (unsigned strategy = HEAPSTER_FIRST_FIT; strategy <= HEAPSTER_WORST_FIT; strategy++) {
            make_holes(sizes[i], 21);
            set_strategies((enum heapster_strategy)strategy);
            compare_with_single_blocks(sizes[i]);
            (void)end(state);
            (void)begin(state);
        }
}

static void batch_of_one_list_takes_one_lock(void **state)
{
    struct hs_batch batch;
    uint64_t locks;

    (void)state;
    make_holes(96, 30); /* ten of 96 bytes */
    locks = locks_taken(arena);
    batch = take_batch(96, 8);
    assert_int_equal(locks_taken(arena) - locks, 1);
    assert_int_equal(batch.count, 8);
    batch = take_batch(96, 8);
    assert_int_equal(batch.count, 2);
    for (unsigned i = 0; i < batch.count; i++)
        assert_int_equal(hs_block_bytes(hs_block_of(batch.payloads[i])), 96);
}

/* The blocks of a batch become the test's own. */
static void use_batch(const struct hs_batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++) {
        assert_int_equal(hs_block_state(hs_block_of(batch->payloads[i])), HS_STATE_CACHED);
        hs_block_set_state(hs_block_of(batch->payloads[i]), HS_STATE_USED);
    }
}

static void batch_of_a_longer_block_is_cut_side_by_side(void **state)
{
    uint64_t locks = locks_taken(arena), locks_of_one;
    struct hs_batch batch;

    (void)state;
    batch = take_batch(96, 1);
    locks_of_one = locks_taken(arena) - locks;
    use_batch(&batch);
    locks = locks_taken(arena);
    batch = take_batch(96, 4);
    assert_int_equal(locks_taken(arena) - locks, locks_of_one);
    assert_int_equal(batch.count, 4);
    for (unsigned i = 1; i < batch.count; i++)
        assert_ptr_equal(batch.payloads[i], (char *)batch.payloads[i - 1] + 96);
    use_batch(&batch);
    assert_layout("U96 U96 U96 U96 U96 F");
    assert_sound();
}

/* Of a hole that two blocks fill but for 16 bytes, the second one keeps these. */
static void the_last_block_of_a_batch_keeps_what_is_too_short(void **state)
{
    struct hs_batch batch;

    (void)state;
    make_holes(2 * 96 + 16, 1);
    batch = take_batch(96, 4);
    assert_int_equal(batch.count, 2);
    assert_int_equal(hs_block_bytes(hs_block_of(batch.payloads[0])), 96);
    assert_int_equal(hs_block_bytes(hs_block_of(batch.payloads[1])), 96 + 16);
    use_batch(&batch);
    assert_sound();
}

static void no_memory_for_a_batch(void **state)
{
    struct hs_batch batch = {.most = 4};

    (void)state;
    while (heapster_arena_malloc(arenas[0], BLOCK_BYTES) != NULL)
        ;
    while (heapster_arena_malloc(arenas[0], 1) != NULL)
        ;
    assert_false(hs_arena_take_batch(arena, 96, 2048, &batch));
    assert_sound();
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static struct hs_block *take_run(size_t block_bytes, size_t run_bytes)
{
    struct hs_batch batch = {.most = 4};

    assert_true(hs_arena_take_batch(arena, block_bytes, run_bytes, &batch));
    assert_int_equal(batch.count, 0);
    assert_non_null(batch.run);
    return batch.run;
}

static void run_is_cut_from_its_end(void **state)
{
    struct hs_account before = hs_arena_account(arena), after;
    struct hs_block *run = take_run(96, 2048), *first, *second;
    struct complaints complaints;

    (void)state;
    assert_int_equal(hs_block_bytes(run), 2048);
    assert_int_equal(hs_block_tile_bytes(run), 2048);
    first = hs_run_cut(run, 2048, 96, arena->number, HS_STATE_USED);
    assert_int_equal(hs_block_tile_bytes(run), 2048 - 96);
    second = hs_run_cut(run, 2048 - 96, 32, arena->number, HS_STATE_USED);
    assert_ptr_equal(hs_block_right(second), first);
    complaints = complaints_of(HEAPSTER_CHECK_RUNNING);
    assert_int_equal(complaints.count, 0);
    hs_arena_end_run(arena, run, 2048 - 96 - 32);
    hs_arena_count_cuts(arena, 2);
    after = hs_arena_account(arena);
    assert_int_equal(after.allocations, before.allocations + 3);
    assert_int_equal(after.used_bytes, before.used_bytes + 2048);
    assert_int_equal(hs_block_state(run), HS_STATE_CACHED);
    hs_block_set_state(run, HS_STATE_USED);
    assert_layout("U1920 U32 U96 F");
    heapster_free(hs_block_payload(second));
    heapster_free(hs_block_payload(run));
    heapster_free(hs_block_payload(first));
    assert_layout("F");
}

/* The strategy chooses it, and it is no longer than what was chosen. */
static void run_of_a_short_block_is_short(void **state)
{
    struct hs_block *run;

    (void)state;
    take(3);
    heapster_free(blocks[1]);
    run = take_run(96, 2048);
    assert_ptr_equal(hs_block_payload(run), blocks[1]);
    assert_int_equal(hs_block_tile_bytes(run), BLOCK_BYTES);
    hs_arena_end_run(arena, run, BLOCK_BYTES);
    hs_block_set_state(run, HS_STATE_USED);
    assert_int_equal(heapster_arena_set_strategy(arenas[0], HEAPSTER_WORST_FIT), 0);
    heapster_free(blocks[1]);
    run = take_run(96, 2048);
    assert_ptr_not_equal(hs_block_payload(run), blocks[1]);
    hs_arena_end_run(arena, run, 2048);
    hs_block_set_state(run, HS_STATE_USED);
    assert_sound();
}

/* Of a block that holds one of the size and no more, there is no run. */
static void no_run_for_one_block(void **state)
{
    struct hs_batch batch = {.most = 4};

    (void)state;
    take(3);
    heapster_free(blocks[1]);
    assert_true(hs_arena_take_batch(arena, BLOCK_BYTES, 8192, &batch));
    assert_int_equal(batch.count, 1);
    assert_ptr_equal(batch.payloads[0], blocks[1]);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_become_one_block),
        cmocka_unit_test(neighbours_merge_with_what_is_free_beside_them),
        cmocka_unit_test(blocks_apart_stay_apart),
        cmocka_unit_test(pieces_of_a_batch_meet),
        cmocka_unit_test(the_account_knows_what_was_given),
        cmocka_unit_test(batch_is_chosen_by_the_strategy),
        cmocka_unit_test(batch_of_one_list_takes_one_lock),
        cmocka_unit_test(batch_of_a_longer_block_is_cut_side_by_side),
        cmocka_unit_test(the_last_block_of_a_batch_keeps_what_is_too_short),
        cmocka_unit_test(no_memory_for_a_batch),
        cmocka_unit_test(run_is_cut_from_its_end),
        cmocka_unit_test(run_of_a_short_block_is_short),
        cmocka_unit_test(no_run_for_one_block),
    };

    return run_named_with(tests, COUNT_OF(tests), argc, argv, begin, end);
}
