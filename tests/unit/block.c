/*
 * The pure functions of block.h: what a tag holds, where neighbours are, what a state is.
 */
#include "support.h"

#include "block.h"

static _Alignas(16) char memory[4096];

static struct hs_block *block_at(size_t offset)
{
    return (struct hs_block *)(memory + HS_TAG_BYTES + offset);
}

static void tag_layout(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct hs_block), HS_TAG_BYTES);
    assert_int_equal(offsetof(struct hs_block, extent), 0);
    assert_int_equal(offsetof(struct hs_block, check), 4);
    assert_int_equal(offsetof(struct hs_block, state), 6);
    assert_int_equal(offsetof(struct hs_block, left), 7);
}

static void payload_is_aligned_and_leads_back(void **state)
{
    (void)state;
    for (size_t offset = 0; offset < 1024; offset += HS_ALIGNMENT) {
        struct hs_block *block = block_at(offset);

        assert_int_equal((uintptr_t)hs_block_payload(block) % HS_ALIGNMENT, 0);
        assert_ptr_equal(hs_block_of(hs_block_payload(block)), block);
    }
}

static void extent_holds_bytes_and_arena(void **state)
{
    static const size_t sizes[] = {0, 32, 48, 4096, (size_t)1 << 20, HS_BLOCK_BYTES_MAX};
    static const unsigned arenas[] = {0, 1, 253, HS_ARENA_LARGE, HS_ARENA_FIRST_CLASS};
    struct hs_block *block = block_at(0);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t k = 0; k < COUNT_OF(arenas); k++) {
            hs_block_set_bytes(block, sizes[i], arenas[k]);
            assert_int_equal(hs_block_bytes(block), sizes[i]);
            assert_int_equal(hs_block_arena(block), arenas[k]);
            assert_true(hs_block_is_intact(block));
        }
    }
}

static void fields_are_independent(void **state)
{
    struct hs_block *block = block_at(64);

    (void)state;
    hs_block_set_bytes(block, 160, 7);
    hs_block_set_state(block, HS_STATE_USED);
    hs_block_set_left(block, 42);
    assert_int_equal(hs_block_bytes(block), 160);
    assert_int_equal(hs_block_usable_bytes(block), 152);
    assert_int_equal(hs_block_state(block), HS_STATE_USED);
    assert_int_equal(hs_block_left(block), 42);
    hs_block_set_left(block, 0);
    assert_int_equal(hs_block_state(block), HS_STATE_USED);
    assert_true(hs_block_is_intact(block));
}

static void neighbours_and_footer(void **state)
{
    struct hs_block *block = block_at(0), *right;

    (void)state;
    hs_block_set_bytes(block, 96, 0);
    right = hs_block_right(block);
    assert_ptr_equal(right, block_at(96));
    assert_ptr_equal(hs_block_at(block, 96), right);
    /* The footer is the last word of the payload, before the next tag. */
    assert_ptr_equal(hs_block_footer_before(right), (char *)hs_block_payload(block) + 96 - HS_TAG_BYTES - 8);
}

static void bytes_for_is_the_least_that_serves(void **state)
{
    (void)state;
    for (size_t request = 0; request < 5000; request++) {
        size_t bytes = hs_block_bytes_for(request);

        assert_int_equal(bytes % HS_ALIGNMENT, 0);
        assert_true(bytes >= HS_BLOCK_BYTES_LEAST && bytes - HS_TAG_BYTES >= request);
        assert_true(bytes == HS_BLOCK_BYTES_LEAST || bytes - HS_ALIGNMENT - HS_TAG_BYTES < request);
    }
    assert_int_equal(hs_block_bytes_for(24), 32);
    assert_int_equal(hs_block_bytes_for(25), 48);
}

/* A hash of 16 bits misses one overwritten extent in 65,536: of 4,096 hardly more than one. */
static void check_notices_an_overwritten_extent(void **state)
{
    unsigned missed = 0;

    (void)state;
    for (size_t offset = 0; offset < 2048; offset += HS_ALIGNMENT) {
        struct hs_block *block = block_at(offset);

        hs_block_set_bytes(block, 160, 3);
        for (unsigned bit = 0; bit < 32; bit++) {
            block->extent ^= UINT32_C(1) << bit;
            missed += hs_block_is_intact(block);
            block->extent ^= UINT32_C(1) << bit;
        }
        assert_true(hs_block_is_intact(block));
    }
    assert_true(missed <= 4);
}

static void check_notices_a_copied_tag(void **state)
{
    struct hs_block *from = block_at(0);
    unsigned missed = 0;

    (void)state;
    hs_block_set_bytes(from, 160, 3);
    for (size_t offset = HS_ALIGNMENT; offset < 4000; offset += HS_ALIGNMENT) {
        memcpy(block_at(offset), from, sizeof *from);
        missed += hs_block_is_intact(block_at(offset));
    }
    assert_true(missed <= 2);
}

static void check_itself_is_verified(void **state)
{
    struct hs_block *block = block_at(0);

    (void)state;
    hs_block_set_bytes(block, 160, 3);
    for (unsigned bit = 0; bit < 16; bit++) {
        block->check ^= (uint16_t)(1U << bit);
        assert_false(hs_block_is_intact(block));
        block->check ^= (uint16_t)(1U << bit);
    }
}

static void free_states_name_their_list(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        bool is_free = value >= 0x80 && value < 0xC0;

        assert_int_equal(hs_state_is_free((uint8_t)value), is_free);
        if (is_free)
            assert_int_equal(hs_state_list((uint8_t)value), value - HS_STATE_FREE);
    }
}

static void states_differ_in_two_bits(void **state)
{
    static const unsigned values[] = {
        HS_STATE_USED, HS_STATE_CACHED, HS_STATE_FREEING, HS_STATE_BUSY, HS_STATE_RUN, HS_STATE_SENT,
        HS_STATE_SEEN, HS_STATE_END,    HS_STATE_LARGE,   HS_STATE_DEAD, 0x00,         0xFF};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++)
        for (size_t k = 0; k < i; k++)
            assert_true(__builtin_popcount(values[i] ^ values[k]) >= 2);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(hs_state_name(HS_STATE_USED), "used");
    assert_string_equal(hs_state_name(HS_STATE_CACHED), "cached");
    assert_string_equal(hs_state_name(HS_STATE_SENT), "cached");
    assert_string_equal(hs_state_name(HS_STATE_SEEN), "cached");
    assert_string_equal(hs_state_name(HS_STATE_RUN), "not cut yet");
    assert_string_equal(hs_state_name(HS_STATE_FREEING), "being freed");
    assert_string_equal(hs_state_name(HS_STATE_BUSY), "being freed");
    assert_string_equal(hs_state_name(HS_STATE_END), "end of region");
    assert_string_equal(hs_state_name(HS_STATE_LARGE), "large");
    assert_string_equal(hs_state_name(HS_STATE_DEAD), "merged into a free block");
    for (unsigned list = 0; list < HS_LISTS_MAX; list++)
        assert_string_equal(hs_state_name((uint8_t)(HS_STATE_FREE + list)), "free");
}

static void invalid_states_have_no_name(void **state)
{
    static const uint8_t valid[] = {HS_STATE_USED,    HS_STATE_CACHED, HS_STATE_SENT, HS_STATE_SEEN,  HS_STATE_RUN,
                                    HS_STATE_FREEING, HS_STATE_BUSY,   HS_STATE_END,  HS_STATE_LARGE, HS_STATE_DEAD};

    (void)state;
    for (unsigned value = 0; value < 256; value++)
        if (!hs_state_is_free((uint8_t)value) && memchr(valid, (int)value, sizeof valid) == NULL)
            assert_string_equal(hs_state_name((uint8_t)value), "no state");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tag_layout),
        cmocka_unit_test(payload_is_aligned_and_leads_back),
        cmocka_unit_test(extent_holds_bytes_and_arena),
        cmocka_unit_test(fields_are_independent),
        cmocka_unit_test(neighbours_and_footer),
        cmocka_unit_test(bytes_for_is_the_least_that_serves),
        cmocka_unit_test(check_notices_an_overwritten_extent),
        cmocka_unit_test(check_notices_a_copied_tag),
        cmocka_unit_test(check_itself_is_verified),
        cmocka_unit_test(free_states_name_their_list),
        cmocka_unit_test(states_differ_in_two_bits),
        cmocka_unit_test(states_have_names),
        cmocka_unit_test(invalid_states_have_no_name),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
