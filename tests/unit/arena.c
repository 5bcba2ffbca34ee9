/*
 * One arena of a caller's buffer, small enough to see whole: how blocks are cut, merged and resized, what their tags
 * say of each other. A layout reads "U112 F912": a used block of 112 bytes, then a free one of 912.
 */
#include "support.h"

#include "arena_moves.h"

enum { ROOM = 1024 }; /* bytes for blocks */

static _Alignas(64) char buffer[ROOM + HS_REGION_OVERHEAD_BYTES];
static heapster_arena *arena;

static int begin(void **state)
{
    struct heapster_arena_config config = {.buffer = buffer, .buffer_bytes = sizeof buffer};

    (void)state;
    arena = heapster_arena_create(&config);
    return arena == NULL;
}

static int end(void **state)
{
    (void)state;
    heapster_arena_destroy(arena);
    return 0;
}

/* Payload bytes that make a block of `block_bytes`. */
static void *take(size_t block_bytes)
{
    return heapster_arena_malloc(arena, block_bytes - HS_TAG_BYTES);
}

static void assert_layout(const char *expected)
{
    struct layout layout = layout_of(inside(arena));

    assert_string_equal(layout.text, expected);
    assert_sound();
}

static unsigned left_of(void *payload)
{
    return hs_block_left(hs_block_of(payload));
}

/* ---- cutting --------------------------------------------------------------------------------------------------- */

static void fresh_arena_is_one_free_block(void **state)
{
    (void)state;
    assert_layout("F1024");
}

static void remainder_is_split_off(void **state)
{
    (void)state;
    assert_non_null(take(112));
    assert_layout("U112 F912");
    assert_non_null(take(32));
    assert_layout("U112 U32 F880");
}

/* What is too short to be a block stays with the one it was cut from. */
static void remainder_of_sixteen_bytes_is_kept(void **state)
{
    void *block;

    (void)state;
    block = take(64);
    assert_non_null(take(32));
    heapster_free(block);
    assert_layout("F64 U32 F928");
    block = take(48);
    assert_layout("U64 U32 F928");
    assert_int_equal(heapster_usable_size(block), 56);
    heapster_free(block);
    assert_non_null(take(32));
    assert_layout("U32 F32 U32 F928");
}

static void arena_is_used_up_to_the_last_byte(void **state)
{
    (void)state;
    assert_non_null(take(512));
    assert_non_null(take(512));
    assert_layout("U512 U512");
    errno = 0;
    assert_null(heapster_arena_malloc(arena, 0));
    assert_int_equal(errno, ENOMEM);
    assert_layout("U512 U512");
}

/* ---- merging --------------------------------------------------------------------------------------------------- */

static void take_four(void *blocks[4])
{
    for (unsigned i = 0; i < 4; i++)
        blocks[i] = take(64);
    assert_layout("U64 U64 U64 U64 F768");
}

static void merges_with_the_left(void **state)
{
    void *blocks[4];

    (void)state;
    take_four(blocks);
    heapster_free(blocks[0]);
    heapster_free(blocks[1]);
    assert_layout("F128 U64 U64 F768");
}

static void merges_with_the_right(void **state)
{
    void *blocks[4];

    (void)state;
    take_four(blocks);
    heapster_free(blocks[1]);
    heapster_free(blocks[0]);
    assert_layout("F128 U64 U64 F768");
    heapster_free(blocks[3]);
    assert_layout("F128 U64 F832");
}

static void merges_with_both(void **state)
{
    void *blocks[4];

    (void)state;
    take_four(blocks);
    heapster_free(blocks[0]);
    heapster_free(blocks[2]);
    assert_layout("F64 U64 F64 U64 F768");
    heapster_free(blocks[1]);
    assert_layout("F192 U64 F768");
    heapster_free(blocks[3]);
    assert_layout("F1024");
}

static void merges_with_none_between_used_ones(void **state)
{
    void *blocks[4];

    (void)state;
    take_four(blocks);
    heapster_free(blocks[1]);
    assert_layout("U64 F64 U64 U64 F768");
}

static void tag_of_a_swallowed_block_is_dead(void **state)
{
    void *blocks[4];

    (void)state;
    take_four(blocks);
    heapster_free(blocks[0]);
    heapster_free(blocks[1]);
    assert_int_equal(hs_block_state(hs_block_of(blocks[1])), HS_STATE_DEAD);
}

/* ---- what tags say of each other ------------------------------------------------------------------------------- */

static void left_names_the_list_of_a_free_neighbour(void **state)
{
    void *blocks[4];

    (void)state;
    take_four(blocks);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(left_of(blocks[i]), 0);
    heapster_free(blocks[1]);
    assert_int_equal(left_of(blocks[2]), 1 + hs_freelist_index(64));
    heapster_free(blocks[0]);
    assert_int_equal(left_of(blocks[2]), 1 + hs_freelist_index(128));
    assert_ptr_equal(take(128), blocks[0]);
    assert_int_equal(left_of(blocks[2]), 0);
}

static void end_tag_knows_the_last_block(void **state)
{
    struct hs_block *end_tag = hs_region_end_tag(inside(arena)->regions);
    void *block;

    (void)state;
    assert_int_equal(hs_block_state(end_tag), HS_STATE_END);
    assert_int_equal(hs_block_left(end_tag), 1 + hs_freelist_index(ROOM));
    block = take(ROOM);
    assert_int_equal(hs_block_left(end_tag), 0);
    heapster_free(block);
    assert_int_equal(hs_block_left(end_tag), 1 + hs_freelist_index(ROOM));
}

static void footer_is_the_size_of_a_free_block(void **state)
{
    void *blocks[4];

    (void)state;
    take_four(blocks);
    heapster_free(blocks[1]);
    assert_int_equal(*hs_block_footer_before(hs_block_of(blocks[2])), 64);
    heapster_free(blocks[0]);
    assert_int_equal(*hs_block_footer_before(hs_block_of(blocks[2])), 128);
}

/* ---- resizing -------------------------------------------------------------------------------------------------- */

static void shrinking_gives_back_the_end(void **state)
{
    void *block;

    (void)state;
    block = take(512);
    fill_pattern(block, 504, 1);
    assert_ptr_equal(heapster_realloc(block, 120), block);
    assert_layout("U128 F896");
    assert_true(holds_pattern(block, 120, 1));
}

static void shrinking_between_used_blocks_leaves_a_free_one(void **state)
{
    void *block;

    (void)state;
    block = take(256);
    assert_non_null(take(64));
    assert_ptr_equal(heapster_realloc(block, 100), block);
    assert_layout("U112 F144 U64 F704");
}

static void shrinking_by_too_little_changes_nothing(void **state)
{
    void *block;

    (void)state;
    block = take(64);
    assert_non_null(take(64));
    assert_ptr_equal(heapster_realloc(block, 40), block);
    assert_layout("U64 U64 F896");
}

static void growing_takes_from_the_right(void **state)
{
    void *block;

    (void)state;
    block = take(64);
    fill_pattern(block, 56, 2);
    assert_ptr_equal(heapster_realloc(block, 248), block);
    assert_layout("U256 F768");
    assert_true(holds_pattern(block, 56, 2));
    assert_ptr_equal(heapster_realloc(block, ROOM - HS_TAG_BYTES), block);
    assert_layout("U1024");
}

static void growing_takes_what_would_be_too_short_to_be_a_block(void **state)
{
    void *blocks[4];

    (void)state;
    take_four(blocks);
    heapster_free(blocks[1]);
    assert_ptr_equal(heapster_realloc(blocks[0], 104), blocks[0]);
    assert_layout("U128 U64 U64 F768");
}

static void growing_past_a_used_neighbour_moves(void **state)
{
    void *blocks[4], *moved;

    (void)state;
    take_four(blocks);
    heapster_free(blocks[1]); /* free, but not enough */
    fill_pattern(blocks[0], 56, 3);
    moved = heapster_realloc(blocks[0], 200);
    assert_ptr_not_equal(moved, blocks[0]);
    assert_true(holds_pattern(moved, 56, 3));
    assert_layout("F128 U64 U64 U208 F560");
}

static void growing_beyond_the_arena_fails_and_changes_nothing(void **state)
{
    void *block;

    (void)state;
    block = take(512);
    fill_pattern(block, 504, 4);
    errno = 0;
    assert_null(heapster_realloc(block, 2000));
    assert_int_equal(errno, ENOMEM);
    assert_layout("U512 F512");
    assert_true(holds_pattern(block, 504, 4));
}

/* ---- alignment ------------------------------------------------------------------------------------------------- */

static void aligned_blocks_are_cut_out_of_the_middle(void **state)
{
    (void)state;
    for (size_t alignment = 32; alignment <= 256; alignment *= 2) {
        void *block = heapster_arena_aligned_alloc(arena, alignment, 100);
        struct layout layout = layout_of(inside(arena));

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % alignment, 0);
        assert_sound();
        assert_non_null(strstr(layout.text, "U112"));
        heapster_free(block);
        assert_layout("F1024");
    }
}

/* The piece in front is a block of its own, so at least 32 bytes, or nothing. */
static void front_piece_is_never_too_short(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 8; shift++) {
        void *before = take(32 + 16 * shift);
        void *block = heapster_arena_aligned_alloc(arena, 64, 64);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        assert_sound();
        heapster_free(before);
        heapster_free(block);
        assert_layout("F1024");
    }
}

static void account_adds_up(void **state)
{
    struct hs_account account;
    void *blocks[4];

    (void)state;
    take_four(blocks);
    heapster_free(blocks[0]);
    account = hs_arena_account(inside(arena));
    assert_int_equal(account.allocations, 4);
    assert_int_equal(account.frees, 1);
    assert_int_equal(account.used_bytes, 3 * 64);
    assert_int_equal(account.splits, 4);
    heapster_free(blocks[1]);
    account = hs_arena_account(inside(arena));
    assert_int_equal(account.used_bytes, 2 * 64);
    assert_int_equal(account.claimed, account.settled);
    assert_int_equal(hs_arena_claims_in_flight(inside(arena)), 0);
}

/* Two threads that free the same block meet when the second one comes to publish what the first one has published. */
static void publishing_a_free_block_is_refused(void **state)
{
    struct hs_settlement settlement = {.frees = 1, .freed_bytes = 64};
    void *block = take(64);
    void *wall = take(64);
    size_t bytes;

    (void)state;
    assert_non_null(wall);
    heapster_free(block);
    assert_null(hs_thread()->damage);
    assert_ptr_equal(hs_arena_publish(inside(arena), hs_block_of(block), settlement, &bytes), hs_block_of(block));
    assert_ptr_equal(hs_thread()->damage, block);
    hs_thread()->damage = NULL;
    assert_layout("F64 U64 F896");
    assert_int_equal(hs_arena_account(inside(arena)).frees, 1);
}

/* Between fork's handlers the other threads stand still, and so do their claims. */
static void forking_thread_waits_for_no_claim(void **state)
{
    (void)state;
    assert_non_null(take(ROOM));
    inside(arena)->account.claimed++;
    hs_thread()->owns_every_lock = true;
    assert_null(take(64));
    hs_thread()->owns_every_lock = false;
    inside(arena)->account.claimed--;
    assert_layout("U1024");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_arena_is_one_free_block),
        cmocka_unit_test(remainder_is_split_off),
        cmocka_unit_test(remainder_of_sixteen_bytes_is_kept),
        cmocka_unit_test(arena_is_used_up_to_the_last_byte),
        cmocka_unit_test(merges_with_the_left),
        cmocka_unit_test(merges_with_the_right),
        cmocka_unit_test(merges_with_both),
        cmocka_unit_test(merges_with_none_between_used_ones),
        cmocka_unit_test(tag_of_a_swallowed_block_is_dead),
        cmocka_unit_test(left_names_the_list_of_a_free_neighbour),
        cmocka_unit_test(end_tag_knows_the_last_block),
        cmocka_unit_test(footer_is_the_size_of_a_free_block),
        cmocka_unit_test(shrinking_gives_back_the_end),
        cmocka_unit_test(shrinking_between_used_blocks_leaves_a_free_one),
        cmocka_unit_test(shrinking_by_too_little_changes_nothing),
        cmocka_unit_test(growing_takes_from_the_right),
        cmocka_unit_test(growing_takes_what_would_be_too_short_to_be_a_block),
        cmocka_unit_test(growing_past_a_used_neighbour_moves),
        cmocka_unit_test(growing_beyond_the_arena_fails_and_changes_nothing),
        cmocka_unit_test(aligned_blocks_are_cut_out_of_the_middle),
        cmocka_unit_test(front_piece_is_never_too_short),
        cmocka_unit_test(account_adds_up),
        cmocka_unit_test(publishing_a_free_block_is_refused),
        cmocka_unit_test(forking_thread_waits_for_no_claim),
    };

    return run_named_with(tests, COUNT_OF(tests), argc, argv, begin, end);
}
