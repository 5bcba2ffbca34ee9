/*
 * The checker and the invariants of lists, F1 to F6, of arenas, A1 to A5, and of large mappings, L1 to L4: each test
 * breaks one and expects that very number, and soundness once it is put right.
 *
 * The arena has five free blocks of about 256 bytes on one range list, with used ones between them, and a free rest.
 */
#include "support.h"

#include "freetree.h"
#include "heap.h"

enum { BLOCKS = 5, ROOM = 8192 };

static _Alignas(16) char buffer[ROOM];
static char saved[sizeof buffer];
static struct hs_arena saved_arena;
static heapster_arena *arena;
static struct hs_freelist *list;
static struct hs_free_block *newest;
static struct hs_block *used; /* one of those between */

static int begin(void **state)
{
    struct heapster_arena_config config = {.buffer = buffer, .buffer_bytes = sizeof buffer};
    void *blocks[BLOCKS], *between = NULL;

    (void)state;
    arena = heapster_arena_create(&config);
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = heapster_arena_malloc(arena, 256 + i % 3 * 16 - HS_TAG_BYTES);
        between = heapster_arena_malloc(arena, 256 - HS_TAG_BYTES);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        heapster_free(blocks[i]);
    used = hs_block_of(between);
    list = &inside(arena)->lists[hs_freelist_index(256)];
    newest = list->head;
    memcpy(saved, buffer, sizeof buffer);
    memcpy(&saved_arena, inside(arena), sizeof saved_arena);
    return list->blocks != BLOCKS;
}

static void repair(void)
{
    memcpy(buffer, saved, sizeof buffer);
    memcpy(inside(arena), &saved_arena, sizeof saved_arena);
}

static int end(void **state)
{
    (void)state;
    heapster_arena_destroy(arena);
    return 0;
}

static void assert_complaint_in(enum heapster_check_mode mode, const char *number)
{
    struct complaints complaints = complaints_of(mode);

    repair();
    if (!complains_of(&complaints, number))
        fail_msg("expected %s, got: %s", number, complaints.numbers);
    assert_sound();
}

static void assert_complaint(const char *number)
{
    assert_complaint_in(HEAPSTER_CHECK_RUNNING, number);
}

/* A complaint that is one at rest only. */
static void assert_complaint_at_rest(const char *number)
{
    struct complaints running = complaints_of(HEAPSTER_CHECK_RUNNING);

    assert_complaint_in(HEAPSTER_CHECK_AT_REST, number);
    assert_false(complains_of(&running, number));
}

static struct hs_free_block *nowhere(void)
{
    return (struct hs_free_block *)(uintptr_t)UINT64_C(0x4141414141414148);
}

/* ---- lists ----------------------------------------------------------------------------------------------------- */

static void F1(void **state)
{
    (void)state;
    hs_block_set_state(&newest->next->tag, HS_STATE_USED);
    assert_complaint("F1");
    hs_block_set_state(&newest->tag, HS_STATE_FREE);
    assert_complaint("F1");
}

static void F2(void **state)
{
    (void)state;
    newest->next->previous = NULL;
    assert_complaint("F2");
    newest->next = nowhere();
    assert_complaint("F2");
    newest->next->next = newest; /* a cycle */
    assert_complaint("F2");
    newest->previous = newest->next;
    assert_complaint("F2");
    list->tail = newest;
    assert_complaint("F2");
}

static void F3(void **state)
{
    struct hs_free_block *second = newest->next;

    (void)state;
    /* Left out of the list, with links that agree. */
    list->head = second;
    second->previous = NULL;
    assert_complaint("F3");
    hs_block_set_state(used, (uint8_t)(HS_STATE_FREE + list->index));
    assert_complaint("F3");
}

static void F4(void **state)
{
    (void)state;
    list->blocks++;
    assert_complaint("F4");
    list->blocks--;
    list->bytes += HS_ALIGNMENT;
    assert_complaint("F4");
    inside(arena)->lists[0].blocks++;
    assert_complaint("F4");
}

static void F5(void **state)
{
    (void)state;
    list->root->largest_below++;
    assert_complaint("F5");
    list->root->parent = newest;
    assert_complaint("F5");
    list->root = NULL;
    assert_complaint("F5");
    list->root = nowhere();
    assert_complaint("F5");
    newest->child[0] = newest;
    assert_complaint("F5");
    newest->sequence = 0; /* the newest, so the leftmost, and now the oldest */
    assert_complaint("F5");
}

static void F5_priority(void **state)
{
    struct hs_free_block *root = list->root, *child = root->child[0] != NULL ? root->child[0] : root->child[1];
    unsigned side = root->child[1] == child;

    (void)state;
    /* The child takes the root's place, the order stays: only the priorities are upside down. */
    root->child[side] = child->child[!side];
    if (root->child[side] != NULL)
        root->child[side]->parent = root;
    child->child[!side] = root;
    root->parent = child;
    child->parent = NULL;
    list->root = child;
    assert_complaint("F5");
}

static void F6(void **state)
{
    (void)state;
    list->cursor = (struct hs_free_block *)used;
    assert_complaint("F6");
    list->cursor = nowhere();
    assert_complaint("F6");
    inside(arena)->lists[0].cursor = newest;
    assert_complaint("F6");
}

/* ---- arenas ---------------------------------------------------------------------------------------------------- */

static void A1(void **state)
{
    (void)state;
    inside(arena)->nonempty ^= UINT64_C(1) << list->index;
    assert_complaint("A1");
    inside(arena)->nonempty ^= UINT64_C(1);
    assert_complaint("A1");
}

static void A2(void **state)
{
    struct hs_region *region = inside(arena)->regions;
    struct complaints complaints;

    (void)state;
    inside(arena)->region_count++;
    assert_complaint("A2");
    inside(arena)->region_bytes += HS_GRANULE_BYTES;
    assert_complaint("A2");
    region->arena = NULL;
    complaints = complaints_of(HEAPSTER_CHECK_RUNNING);
    region->arena = inside(arena);
    assert_true(complains_of(&complaints, "A2"));
    assert_sound();
}

static void A3(void **state)
{
    (void)state;
    hs_block_set_state(used, HS_STATE_BUSY);
    assert_complaint_at_rest("A3");
}

static void A4(void **state)
{
    (void)state;
    inside(arena)->account.claimed++;
    assert_complaint_at_rest("A4");
    list->account.settled++;
    assert_complaint_at_rest("A4");
}

static void A5(void **state)
{
    (void)state;
    inside(arena)->account.used_bytes += HS_ALIGNMENT;
    assert_complaint_at_rest("A5");
    inside(arena)->account.allocations++;
    assert_complaint_at_rest("A5");
    list->account.frees++;
    assert_complaint_at_rest("A5");
}

/* ---- large mappings -------------------------------------------------------------------------------------------- */

/* A large block, of the heap or of a first-class arena, in whose set something is broken. */
static struct hs_region *large_region(void **block)
{
    *block = heapster_malloc((size_t)1 << 20);
    return hs_region_find(*block);
}

static void L1(void **state)
{
    void *block;
    struct hs_block *tag = hs_block_of(hs_large_payload(large_region(&block)));
    struct complaints complaints[3];

    (void)state;
    tag->check ^= 1;
    complaints[0] = complaints_of(HEAPSTER_CHECK_RUNNING);
    tag->check ^= 1;
    hs_block_set_state(tag, HS_STATE_USED);
    complaints[1] = complaints_of(HEAPSTER_CHECK_RUNNING);
    hs_block_set_state(tag, HS_STATE_LARGE);
    hs_block_set_bytes(tag, 0, 3);
    complaints[2] = complaints_of(HEAPSTER_CHECK_RUNNING);
    hs_block_set_bytes(tag, 0, HS_ARENA_LARGE);
    for (unsigned i = 0; i < 3; i++)
        assert_true(complains_of(&complaints[i], "L1"));
    assert_sound();
    heapster_free(block);
}

static void L2(void **state)
{
    void *block;
    struct hs_region *region = large_region(&block);
    struct complaints unmapped, other_set;

    (void)state;
    hs_region_leave(hs_large_payload(region), 1);
    unmapped = complaints_of(HEAPSTER_CHECK_RUNNING);
    assert_true(hs_region_enter(region, hs_large_payload(region), 1));
    region->set = NULL;
    other_set = complaints_of(HEAPSTER_CHECK_RUNNING);
    region->set = &hs_heap_large;
    assert_true(complains_of(&unmapped, "L2"));
    assert_true(complains_of(&other_set, "L2"));
    assert_sound();
    heapster_free(block);
}

static void L3(void **state)
{
    heapster_arena *mapped = heapster_arena_create(NULL);
    struct complaints blocks, bytes;

    (void)state;
    assert_non_null(heapster_arena_malloc(mapped, (size_t)1 << 20));
    inside(mapped)->large->blocks++;
    blocks = complaints_of(HEAPSTER_CHECK_RUNNING);
    inside(mapped)->large->blocks--;
    inside(mapped)->large->bytes++;
    bytes = complaints_of(HEAPSTER_CHECK_RUNNING);
    inside(mapped)->large->bytes--;
    assert_true(complains_of(&blocks, "L3"));
    assert_true(complains_of(&bytes, "L3"));
    assert_sound();
    heapster_arena_destroy(mapped);
}

static void L4(void **state)
{
    void *block;
    struct hs_region *region = large_region(&block);
    size_t bytes = region->bytes;
    struct complaints ragged, too_short;

    (void)state;
    region->bytes = bytes + 1;
    ragged = complaints_of(HEAPSTER_CHECK_RUNNING);
    region->bytes = 2 * hs_os_page_bytes();
    too_short = complaints_of(HEAPSTER_CHECK_RUNNING);
    region->bytes = bytes;
    assert_true(complains_of(&ragged, "L4"));
    assert_true(complains_of(&too_short, "L4"));
    assert_sound();
    heapster_free(block);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(F1), cmocka_unit_test(F2), cmocka_unit_test(F3),          cmocka_unit_test(F4),
        cmocka_unit_test(F5), cmocka_unit_test(F6), cmocka_unit_test(F5_priority), cmocka_unit_test(A1),
        cmocka_unit_test(A2), cmocka_unit_test(A3), cmocka_unit_test(A4),          cmocka_unit_test(A5),
        cmocka_unit_test(L1), cmocka_unit_test(L2), cmocka_unit_test(L3),          cmocka_unit_test(L4),
    };

    return run_named_with(tests, COUNT_OF(tests), argc, argv, begin, end);
}
