/*
 * A free list whose blocks a program wrote to after it had freed them: the damage is noted for the caller to report,
 * the list is abandoned or goes on without harm, and nothing is followed out of the arena.
 */
#include "support.h"

#include "freetree.h"

enum { SLOTS = 8, SLOT_BYTES = 2048, ARENA = 5, EXACT = 2, RANGE = 20, MIDDLE = 4 };

static _Alignas(16) char memory[SLOTS * SLOT_BYTES];
static struct hs_bounds bounds;
static struct hs_freelist list;

static struct hs_free_block *slot(unsigned number)
{
    return (struct hs_free_block *)(memory + (size_t)number * SLOT_BYTES + HS_TAG_BYTES);
}

static void prepare_slot(unsigned number, size_t bytes)
{
    struct hs_block *block = &slot(number)->tag;

    hs_block_set_bytes(block, bytes, ARENA);
    *hs_block_footer_before(hs_block_right(block)) = bytes;
    hs_block_set_state(block, (uint8_t)(HS_STATE_FREE + list.index));
}

/* A list with all slots but the last on it, one of which is longer than the others unless there is no such slot. */
static void begin_with_a_longer_one(unsigned index, enum heapster_strategy strategy, unsigned longer) HS_NO_ANALYSIS
{
    size_t least = hs_freelist_least_bytes(index);

    memset(memory, 0, sizeof memory);
    memset(&list, 0, sizeof list);
    bounds.low = (uintptr_t)memory;
    bounds.high = (uintptr_t)memory + sizeof memory;
    hs_freelist_init(&list, index, ARENA, &bounds);
    hs_mutex_lock(&list.lock);
    hs_freelist_set_strategy_locked(&list, (uint8_t)strategy);
    for (unsigned number = 0; number < SLOTS; number++) {
        prepare_slot(number, number == longer ? least + HS_ALIGNMENT : least);
        if (number + 1 < SLOTS)
            hs_freelist_link_locked(&list, &slot(number)->tag);
    }
}

/* The same with blocks of one size. */
static void begin(unsigned index, enum heapster_strategy strategy)
{
    begin_with_a_longer_one(index, strategy, SLOTS);
}

/* Returns what was noted. Before any assertion, which may allocate and so report it. */
static const void *end(void) HS_NO_ANALYSIS
{
    const void *damage = hs_thread()->damage;

    hs_thread()->damage = NULL;
    hs_mutex_unlock(&list.lock);
    return damage;
}

static bool is_abandoned(void)
{
    return list.head == NULL && list.tail == NULL && list.root == NULL && list.cursor == NULL && list.blocks == 0 &&
           list.bytes == 0;
}

/* Addresses as an overwrite leaves them: text, a misaligned one, one outside, one inside that is no block. */
static uintptr_t bad_link(unsigned kind)
{
    switch (kind) {
    case 0:
        return UINT64_C(0x4141414141414141);
    case 1:
        return (uintptr_t)slot(1) + 1;
    case 2:
        return (uintptr_t)memory + sizeof memory + HS_TAG_BYTES;
    default:
        return (uintptr_t)slot(1) + 2 * HS_ALIGNMENT;
    }
}

enum { BAD_LINKS = 4 };

static struct hs_free_block *as_link(uintptr_t address)
{
    return (struct hs_free_block *)address; // NOLINT(performance-no-int-to-ptr)
}

static void unlink_meets_bad_links(unsigned index, bool next)
{
    for (unsigned kind = 0; kind < BAD_LINKS; kind++) {
        bool unlinked;
        const void *damage;

        begin(index, HEAPSTER_FIRST_FIT);
        if (next)
            slot(MIDDLE)->next = as_link(bad_link(kind));
        else
            slot(MIDDLE)->previous = as_link(bad_link(kind));
        hs_mutex_assert_held(&list.lock);
        unlinked = hs_freelist_unlink_locked(&list, &slot(MIDDLE)->tag);
        damage = end();
        assert_false(unlinked);
        assert_ptr_equal(damage, hs_block_payload(&slot(MIDDLE)->tag));
        assert_true(is_abandoned());
    }
}

static void unlink_with_a_bad_next(void **state)
{
    (void)state;
    unlink_meets_bad_links(EXACT, true);
    unlink_meets_bad_links(RANGE, true);
}

static void unlink_with_a_bad_previous(void **state)
{
    (void)state;
    unlink_meets_bad_links(EXACT, false);
    unlink_meets_bad_links(RANGE, false);
}

static void unlink_with_a_bad_tree(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < BAD_LINKS; kind++) {
        bool unlinked;
        const void *damage;

        begin(RANGE, HEAPSTER_FIRST_FIT);
        slot(MIDDLE)->child[kind % 2] = as_link(bad_link(kind));
        hs_mutex_assert_held(&list.lock);
        unlinked = hs_freelist_unlink_locked(&list, &slot(MIDDLE)->tag);
        damage = end();
        assert_false(unlinked);
        assert_non_null(damage);
        assert_true(is_abandoned());
    }
}

static void unlink_with_a_bad_footer(void **state)
{
    bool unlinked;
    const void *damage;

    (void)state;
    begin(EXACT, HEAPSTER_FIRST_FIT);
    *hs_block_footer_before(hs_block_right(&slot(MIDDLE)->tag)) ^= 1;
    hs_mutex_assert_held(&list.lock);
    unlinked = hs_freelist_unlink_locked(&list, &slot(MIDDLE)->tag);
    damage = end();
    assert_false(unlinked);
    assert_non_null(damage);
    assert_true(is_abandoned());
}

/* What links two good blocks that do not belong together is noticed, too. */
static void unlink_with_links_that_disagree(void **state)
{
    bool unlinked;
    const void *damage;

    (void)state;
    begin(EXACT, HEAPSTER_FIRST_FIT);
    slot(MIDDLE)->next = slot(1);
    hs_mutex_assert_held(&list.lock);
    unlinked = hs_freelist_unlink_locked(&list, &slot(MIDDLE)->tag);
    damage = end();
    assert_false(unlinked);
    assert_non_null(damage);
}

static void link_meets_a_head_whose_tag_was_overwritten(void **state)
{
    static const unsigned indices[] = {EXACT, RANGE};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(indices); i++) {
        const void *damage;

        begin(indices[i], HEAPSTER_FIRST_FIT);
        memset(list.head, 'A', HS_TAG_BYTES);
        hs_mutex_assert_held(&list.lock);
        hs_freelist_link_locked(&list, &slot(SLOTS - 1)->tag);
        damage = end();
        assert_non_null(damage);
        assert_ptr_equal(list.head, slot(SLOTS - 1));
        assert_int_equal(list.blocks, 1);
        assert_null(slot(SLOTS - 1)->next);
    }
}

static void link_meets_a_bad_tree(void **state)
{
    static const enum heapster_strategy strategies[] = {HEAPSTER_FIRST_FIT, HEAPSTER_BEST_FIT};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(strategies); i++) {
        const void *damage;

        begin(RANGE, strategies[i]);
        for (unsigned number = 0; number + 1 < SLOTS; number++)
            slot(number)->child[0] = slot(number)->child[1] = as_link(bad_link(0));
        hs_mutex_assert_held(&list.lock);
        hs_freelist_link_locked(&list, &slot(SLOTS - 1)->tag);
        damage = end();
        assert_non_null(damage);
        assert_ptr_equal(list.head, slot(SLOTS - 1));
        assert_ptr_equal(list.root, slot(SLOTS - 1));
        assert_int_equal(list.blocks, 1);
    }
}

static void find_meets_a_tag_that_was_overwritten(void **state)
{
    struct hs_block *found;
    const void *damage;

    (void)state;
    begin(EXACT, HEAPSTER_FIRST_FIT);
    memset(list.head, 'A', HS_TAG_BYTES);
    hs_mutex_assert_held(&list.lock);
    found = hs_freelist_find_locked(&list, hs_freelist_least_bytes(EXACT), false);
    damage = end();
    assert_null(found);
    assert_non_null(damage);
    assert_true(is_abandoned());
}

/* Every strategy's search in a tree whose every block was overwritten behind its tag. */
static void find_meets_a_bad_tree(void **state)
{
    (void)state;
    for (unsigned strategy = HEAPSTER_FIRST_FIT; strategy <= HEAPSTER_WORST_FIT; strategy++) {
        struct hs_block *found;
        const void *damage;

        begin(RANGE, (enum heapster_strategy)strategy);
        list.cursor = list.head;
        for (unsigned number = 0; number + 1 < SLOTS; number++)
            memset((char *)slot(number) + HS_TAG_BYTES, 'A', sizeof(struct hs_free_block) - HS_TAG_BYTES);
        hs_mutex_assert_held(&list.lock);
        found = hs_freelist_find_locked(&list, hs_freelist_least_bytes(RANGE), strategy == HEAPSTER_NEXT_FIT);
        damage = end();
        assert_null(found);
        assert_non_null(damage);
        assert_true(is_abandoned());
    }
}

/* Searches for the longest block, with a node on the way to it, `up` steps from it, saying `largest_below`. False where
 * the root is nearer than that. */
static bool find_below_a_node_that_says(uint32_t largest_below, enum heapster_strategy strategy, unsigned longer,
                                        unsigned up)
{
    /* From the cursor on, what lies above the block that is found is not looked at. */
    bool from_cursor = strategy == HEAPSTER_NEXT_FIT && up == 0;
    struct hs_free_block *node;
    struct hs_block *found;
    const void *damage;

    begin_with_a_longer_one(RANGE, strategy, longer);
    list.cursor = list.head;
    for (node = slot(longer); node != NULL && up > 0; up--)
        node = node->parent;
    if (node == NULL) {
        (void)end();
        return false;
    }
    node->largest_below = largest_below;
    hs_mutex_assert_held(&list.lock);
    found = hs_freelist_find_locked(&list, hs_block_bytes(&slot(longer)->tag), from_cursor);
    damage = end();
    assert_null(found);
    assert_non_null(damage);
    assert_true(is_abandoned());
    return true;
}

/* Too large a value, and the zero that a program writes over all it has freed. */
static void find_meets_a_wrong_largest_below(void **state)
{
    static const uint32_t values[] = {0, 1, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++)
        for (unsigned strategy = HEAPSTER_FIRST_FIT; strategy <= HEAPSTER_WORST_FIT; strategy++)
            for (unsigned longer = 0; longer + 1 < SLOTS; longer++)
                for (unsigned up = 0;
                     find_below_a_node_that_says(values[i], (enum heapster_strategy)strategy, longer, up); up++)
                    ;
}

static void strategy_switch_meets_a_bad_link(void **state)
{
    const void *damage;

    (void)state;
    begin(RANGE, HEAPSTER_FIRST_FIT);
    slot(MIDDLE)->next = as_link(bad_link(0));
    hs_mutex_assert_held(&list.lock);
    hs_freelist_set_strategy_locked(&list, HEAPSTER_BEST_FIT);
    damage = end();
    assert_non_null(damage);
    assert_true(is_abandoned());
}

static void only_the_first_damage_is_kept(void **state)
{
    static char first, second;
    const void *damage;

    (void)state;
    hs_freelist_note_damage(&first);
    hs_freelist_note_damage(&second);
    damage = hs_thread()->damage;
    hs_thread()->damage = NULL;
    assert_ptr_equal(damage, &first);
}

static void plausible_asks_for_place_state_and_tag(void **state)
{
    struct hs_free_block *block = slot(MIDDLE);
    bool good, outside, busy, bad_tag, other_list;

    (void)state;
    begin(EXACT, HEAPSTER_FIRST_FIT);
    good = hs_freelist_plausible(&list, block);
    bounds.high = (uintptr_t)block;
    outside = hs_freelist_plausible(&list, block);
    bounds.high = (uintptr_t)memory + sizeof memory;
    hs_block_set_state(&block->tag, HS_STATE_BUSY);
    busy = hs_freelist_plausible(&list, block);
    hs_block_set_state(&block->tag, HS_STATE_FREE + EXACT + 1);
    other_list = hs_freelist_plausible(&list, block);
    hs_block_set_state(&block->tag, HS_STATE_FREE + EXACT);
    block->tag.check ^= 1;
    bad_tag = hs_freelist_plausible(&list, block);
    assert_null(end());
    assert_true(good);
    assert_false(outside || busy || bad_tag || other_list);
    assert_false(hs_freelist_plausible(&list, NULL));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(unlink_with_a_bad_next),
        cmocka_unit_test(unlink_with_a_bad_previous),
        cmocka_unit_test(unlink_with_a_bad_tree),
        cmocka_unit_test(unlink_with_a_bad_footer),
        cmocka_unit_test(unlink_with_links_that_disagree),
        cmocka_unit_test(link_meets_a_head_whose_tag_was_overwritten),
        cmocka_unit_test(link_meets_a_bad_tree),
        cmocka_unit_test(find_meets_a_tag_that_was_overwritten),
        cmocka_unit_test(find_meets_a_bad_tree),
        cmocka_unit_test(find_meets_a_wrong_largest_below),
        cmocka_unit_test(strategy_switch_meets_a_bad_link),
        cmocka_unit_test(only_the_first_damage_is_kept),
        cmocka_unit_test(plausible_asks_for_place_state_and_tag),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
