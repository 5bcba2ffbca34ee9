/*
 * The checker and the invariants of blocks, B1 to B7, and of regions, R1: each test breaks one in a small arena and
 * expects that very number. The arena is put right afterwards and must be sound again.
 *
 *     U64 (first)   F64 (gap)   U64 (second)   F832 (rest)
 */
#include "support.h"

enum { ROOM = 1024, ROUNDS = 2000 };

static _Alignas(16) char buffer[ROOM + HS_REGION_OVERHEAD_BYTES];
static char saved[sizeof buffer];
static heapster_arena *arena;
static struct hs_block *first, *gap, *second, *rest;

static int begin(void **state)
{
    struct heapster_arena_config config = {.buffer = buffer, .buffer_bytes = sizeof buffer};
    void *blocks[3];

    (void)state;
    arena = heapster_arena_create(&config);
    for (unsigned i = 0; i < 3; i++)
        blocks[i] = heapster_arena_malloc(arena, 64 - HS_TAG_BYTES);
    first = hs_block_of(blocks[0]);
    gap = hs_block_of(blocks[1]);
    second = hs_block_of(blocks[2]);
    rest = hs_block_right(second);
    heapster_free(blocks[1]);
    memcpy(saved, buffer, sizeof buffer);
    return strcmp(layout_of(inside(arena)).text, "U64 F64 U64 F832") != 0;
}

static int end(void **state)
{
    (void)state;
    heapster_arena_destroy(arena);
    return 0;
}

/* After the buffer was broken: what the checker says, and that the saved content is sound. */
static struct complaints complaints_and_repair(enum heapster_check_mode mode)
{
    struct complaints complaints = complaints_of(mode);

    memcpy(buffer, saved, sizeof buffer);
    return complaints;
}

static void assert_complaint(const char *number)
{
    struct complaints complaints = complaints_and_repair(HEAPSTER_CHECK_RUNNING);

    if (!complains_of(&complaints, number))
        fail_msg("expected %s, got: %s", number, complaints.numbers);
    assert_sound();
}

static void a_sound_heap_has_no_complaints(void **state)
{
    (void)state;
    assert_sound();
    assert_int_equal(heapster_check(HEAPSTER_CHECK_RUNNING, NULL, NULL), 0);
    assert_int_equal(heapster_check(HEAPSTER_CHECK_AT_REST, NULL, NULL), 0);
}

static void broken_invariants_are_counted_without_a_report(void **state)
{
    (void)state;
    gap->check ^= 1;
    assert_true(heapster_check(HEAPSTER_CHECK_RUNNING, NULL, NULL) > 0);
    memcpy(buffer, saved, sizeof buffer);
    assert_sound();
}

static void B1(void **state)
{
    (void)state;
    hs_block_set_bytes(first, ROOM + 64, HS_ARENA_FIRST_CLASS);
    assert_complaint("B1");
    hs_block_set_bytes(first, 0, HS_ARENA_FIRST_CLASS);
    assert_complaint("B1");
    hs_block_set_state(hs_region_end_tag(inside(arena)->regions), HS_STATE_USED);
    assert_complaint("B1");
    hs_region_end_tag(inside(arena)->regions)->check ^= 1;
    assert_complaint("B1");
}

static void B2(void **state)
{
    (void)state;
    first->check ^= 1;
    assert_complaint("B2");
    gap->check ^= 0x8000;
    assert_complaint("B2");
    rest->check ^= 1;
    assert_complaint("B2");
}

static void B3(void **state)
{
    static const uint8_t states[] = {
        0x00, 0xFF, 0x41, HS_STATE_DEAD, HS_STATE_LARGE, HS_STATE_END, HS_STATE_FREE + HS_LISTS};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        hs_block_set_state(first, states[i]);
        assert_complaint("B3");
    }
}

static void B4(void **state)
{
    (void)state;
    hs_block_set_left(gap, 1);
    assert_complaint("B4");
    hs_block_set_left(second, 0);
    assert_complaint("B4");
    hs_block_set_left(second, 60);
    assert_complaint("B4");
    hs_block_set_left(hs_region_end_tag(inside(arena)->regions), 0);
    assert_complaint("B4");
    hs_block_set_left(first, 3);
    assert_complaint("B4");
}

static void B5(void **state)
{
    (void)state;
    *hs_block_footer_before(second) = 80;
    assert_complaint("B5");
}

static void B6(void **state)
{
    (void)state;
    hs_block_set_state(second, (uint8_t)(HS_STATE_FREE + hs_freelist_index(64)));
    assert_complaint("B6");
}

static void B7(void **state)
{
    (void)state;
    hs_block_set_bytes(first, 64, 7);
    assert_complaint("B7");
    hs_block_set_bytes(first, 16, HS_ARENA_FIRST_CLASS);
    assert_complaint("B7");
}

static void R1(void **state)
{
    heapster_arena *mapped = heapster_arena_create(NULL);
    struct hs_region *region;
    struct complaints complaints;

    (void)state;
    hs_region_overlay_remove(inside(arena)->regions);
    complaints = complaints_of(HEAPSTER_CHECK_RUNNING);
    hs_region_overlay_add(inside(arena)->regions);
    assert_true(complains_of(&complaints, "R1"));
    assert_sound();

    assert_non_null(heapster_arena_malloc(mapped, 100));
    region = inside(mapped)->regions;
    hs_region_leave(region->base + HS_GRANULE_BYTES, HS_GRANULE_BYTES);
    complaints = complaints_of(HEAPSTER_CHECK_RUNNING);
    assert_true(hs_region_enter(region, region->base + HS_GRANULE_BYTES, HS_GRANULE_BYTES));
    assert_true(complains_of(&complaints, "R1"));
    assert_sound();
    heapster_arena_destroy(mapped);
}

/* The arena around it does not stand in for one that is missing. */
static void R1_of_a_nested_arena(void **state)
{
    struct heapster_arena_config config = {.buffer = heapster_arena_malloc(arena, 400), .buffer_bytes = 400};
    heapster_arena *nested = heapster_arena_create(&config);
    struct complaints complaints;

    (void)state;
    assert_sound();
    hs_region_overlay_remove(inside(nested)->regions);
    complaints = complaints_of(HEAPSTER_CHECK_RUNNING);
    hs_region_overlay_add(inside(nested)->regions);
    assert_true(complains_of(&complaints, "R1"));
    assert_sound();
    heapster_arena_destroy(nested);
}

static bool is_in_a_tag(size_t offset)
{
    const struct hs_block *const tags[] = {first, gap, second, rest};

    for (size_t i = 0; i < COUNT_OF(tags); i++)
        if ((size_t)((const char *)tags[i] - buffer) / HS_TAG_BYTES == offset / HS_TAG_BYTES)
            return true;
    return false;
}

static bool is_in_a_used_payload(size_t offset)
{
    const char *address = buffer + offset;

    return (address > (const char *)first + 7 && address < (const char *)gap) ||
           (address > (const char *)second + 7 && address < (const char *)rest);
}

/* Every byte in turn: an overwritten tag is found, what a program keeps in its blocks is its own affair. */
static void every_overwritten_byte_is_judged(void **state)
{
    (void)state;
    for (size_t offset = 0; offset < sizeof buffer; offset++) {
        struct complaints complaints;

        buffer[offset] = (char)(buffer[offset] ^ 0x55);
        complaints = complaints_and_repair(HEAPSTER_CHECK_RUNNING);
        if (is_in_a_used_payload(offset))
            assert_int_equal(complaints.count, 0);
        else if (is_in_a_tag(offset) && complaints.count == 0)
            fail_msg("byte %zu was overwritten unseen", offset);
    }
    assert_sound();
}

/* Whatever is written over the arena, the checker ends in a report. */
static void any_overwrite_ends_in_a_report(void **state)
{
    uint64_t random = 2024;
    unsigned noticed = 0;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t from = (size_t)(next_random(&random) % sizeof buffer);
        size_t bytes = 1 + (size_t)(next_random(&random) % 256);

        for (size_t i = from; i < from + bytes && i < sizeof buffer; i++)
            buffer[i] = (char)next_random(&random);
        noticed += complaints_and_repair(HEAPSTER_CHECK_AT_REST).count != 0;
    }
    assert_true(noticed > ROUNDS / 4);
    assert_sound();
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_heap_has_no_complaints),
        cmocka_unit_test(broken_invariants_are_counted_without_a_report),
        cmocka_unit_test(B1),
        cmocka_unit_test(B2),
        cmocka_unit_test(B3),
        cmocka_unit_test(B4),
        cmocka_unit_test(B5),
        cmocka_unit_test(B6),
        cmocka_unit_test(B7),
        cmocka_unit_test(R1),
        cmocka_unit_test(R1_of_a_nested_arena),
        cmocka_unit_test(every_overwritten_byte_is_judged),
        cmocka_unit_test(any_overwrite_ends_in_a_report),
    };

    return run_named_with(tests, COUNT_OF(tests), argc, argv, begin, end);
}
