/*
 * fuzz_freelist: one free list, the four searches, against an array that is looked through from end to end.
 *
 * Header: byte 0 the list, byte 1 the strategy to begin with. A slot is a place for one block, long enough for any size
 * of the list; it is on the list or not. Goal: what is found is what the strategy says (freelist.h), and links, tree
 * and sums agree. Oracle: the array, newest first.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "freetree.h"
#include "heapster.h"
#include "target.h"

enum { ARENA = 5 };

enum kind { LINK = 1, UNLINK, FIND, LARGEST, SET_STRATEGY, KINDS = SET_STRATEGY };

static const struct fuzz_kind kinds[KINDS] = {
    {"link", FUZZ_SLOT | FUZZ_BYTES, 40},  {"unlink", FUZZ_SLOT, 20},
    {"find", FUZZ_BYTES | FUZZ_EXTRA, 40}, {"largest", 0, 5},
    {"set_strategy", FUZZ_EXTRA, 2},
};

/* Blocks of the last list have no largest size; here they do. */
#define LIMIT_BYTES ((size_t)4 << 20)

#define PLACE UINT64_C(0x200000000000)

static char *memory;
static struct hs_bounds bounds;
static struct hs_freelist list;
static enum heapster_strategy strategy;
static unsigned order[FUZZ_SLOTS]; /* slots on the list, newest first */
static bool on_list[FUZZ_SLOTS];
static unsigned count;
static unsigned cursor; /* an index of order; count: past the end */

static struct hs_free_block *block_of(unsigned slot)
{
    return (struct hs_free_block *)(void *)(memory + slot * LIMIT_BYTES + HS_TAG_BYTES);
}

static size_t bytes_of(unsigned slot)
{
    return hs_block_bytes(&block_of(slot)->tag);
}

/* Any number becomes a size of this list. */
static size_t size_here(size_t bytes)
{
    size_t least = hs_freelist_least_bytes(list.index);
    size_t limit = list.index + 1U < HS_LISTS ? hs_freelist_least_bytes(list.index + 1U) : LIMIT_BYTES;

    return least + bytes % ((limit - least) / HS_ALIGNMENT) * HS_ALIGNMENT;
}

/* ---- operations ----------------------------------------------------------------------------------------------------
 */

static void link_slot(unsigned slot, size_t bytes) HS_NO_ANALYSIS
{
    struct hs_block *block = &block_of(slot)->tag;

    hs_block_set_bytes(block, bytes, ARENA);
    hs_block_set_state(block, (uint8_t)(HS_STATE_FREE + list.index));
    *hs_block_footer_before(hs_block_right(block)) = bytes;
    hs_freelist_link_locked(&list, block);
    memmove(order + 1, order, count * sizeof order[0]);
    order[0] = slot;
    on_list[slot] = true;
    count++;
    cursor++;
}

static void unlink_slot(unsigned slot) HS_NO_ANALYSIS
{
    unsigned at = 0;

    if (!hs_freelist_unlink_locked(&list, &block_of(slot)->tag))
        fuzz_fail("unlink met damage");
    hs_block_set_state(&block_of(slot)->tag, HS_STATE_USED);
    while (order[at] != slot)
        at++;
    on_list[slot] = false;
    count--;
    memmove(order + at, order + at + 1, (count - at) * sizeof order[0]);
    if (cursor > at)
        cursor--;
}

static bool is_better(size_t bytes, size_t best_bytes)
{
    if (strategy == HEAPSTER_BEST_FIT)
        return bytes < best_bytes;
    return strategy == HEAPSTER_WORST_FIT && bytes > best_bytes;
}

static void find(size_t bytes, bool from_cursor) HS_NO_ANALYSIS
{
    struct hs_block *found = hs_freelist_find_locked(&list, bytes, from_cursor), *expected = NULL;
    unsigned best = count;

    for (unsigned i = from_cursor ? cursor : 0; i < count; i++)
        if (bytes_of(order[i]) >= bytes && (best == count || is_better(bytes_of(order[i]), bytes_of(order[best]))))
            best = i;
    if (best < count)
        expected = &block_of(order[best])->tag;
    if (found != expected)
        fuzz_fail("list %u, strategy %d: %p was found for %zu bytes, expected %p", list.index, (int)strategy,
                  (void *)found, bytes, (void *)expected);
    if (found != NULL && strategy == HEAPSTER_NEXT_FIT) {
        list.cursor = block_of(order[best]);
        cursor = best;
    }
}

static void expect_largest(void) HS_NO_ANALYSIS
{
    size_t largest = 0;

    for (unsigned i = 0; i < count; i++)
        largest = bytes_of(order[i]) > largest ? bytes_of(order[i]) : largest;
    if (hs_freelist_largest_locked(&list) != largest)
        fuzz_fail("the largest is %zu bytes long, expected %zu", hs_freelist_largest_locked(&list), largest);
}

static void set_strategy(unsigned chosen) HS_NO_ANALYSIS
{
    strategy = (enum heapster_strategy)(chosen & 3);
    hs_freelist_set_strategy_locked(&list, (uint8_t)strategy);
    cursor = count;
}

/* ---- the whole list ------------------------------------------------------------------------------------------------
 */

static void expect_order(void)
{
    struct hs_free_block *node = list.head, *previous = NULL;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < count; i++) {
        if (node != block_of(order[i]) || node->previous != previous)
            fuzz_fail("place %u of the list holds another block", i);
        bytes += bytes_of(order[i]);
        previous = node;
        node = node->next;
    }
    if (node != NULL || list.tail != previous || list.blocks != count || list.bytes != bytes)
        fuzz_fail("the list has %llu blocks of %llu bytes, expected %u of %llu", (unsigned long long)list.blocks,
                  (unsigned long long)list.bytes, count, (unsigned long long)bytes);
    if (list.cursor != (cursor < count ? block_of(order[cursor]) : NULL))
        fuzz_fail("the cursor stands elsewhere");
}

/* Where each node's largest is right by what its children say, all are. */
static void expect_node(const struct hs_free_block *node)
{
    uint32_t largest = (uint32_t)(hs_block_bytes(&node->tag) / HS_ALIGNMENT);

    for (unsigned side = 0; side < 2; side++) {
        const struct hs_free_block *child = node->child[side];

        if (child == NULL)
            continue;
        if (child->parent != node || hs_freetree_priority(child) > hs_freetree_priority(node) ||
            !hs_freetree_before(&list, side == 0 ? child : node, side == 0 ? node : child))
            fuzz_fail("the tree is out of order at %p", (const void *)child);
        largest = child->largest_below > largest ? child->largest_below : largest;
    }
    if (node->largest_below != largest)
        fuzz_fail("a subtree's largest is %u units, expected %u", node->largest_below, largest);
}

static void expect_tree(void)
{
    const struct hs_free_block *found[FUZZ_SLOTS + 2] = {list.root};
    unsigned nodes = list.root != NULL;

    for (unsigned i = 0; i < nodes; i++) {
        expect_node(found[i]);
        for (unsigned side = 0; side < 2; side++)
            if (found[i]->child[side] != NULL)
                found[nodes++] = found[i]->child[side];
        if (nodes > count)
            fuzz_fail("the tree has more nodes than the list");
    }
    if (nodes != (list.index < HS_EXACT_LISTS ? 0 : count))
        fuzz_fail("the tree has %u nodes of %u", nodes, count);
}

/* The list that a size belongs to is the last one whose least size it reaches. */
static void expect_index(size_t bytes)
{
    unsigned index = 0;

    bytes = bytes % HS_BLOCK_BYTES_MAX & ~(HS_ALIGNMENT - 1);
    bytes = bytes < HS_BLOCK_BYTES_LEAST ? HS_BLOCK_BYTES_LEAST : bytes;
    while (index + 1 < HS_LISTS && hs_freelist_least_bytes(index + 1) <= bytes)
        index++;
    if (hs_freelist_index(bytes) != index)
        fuzz_fail("%zu bytes belong to list %u, expected %u", bytes, hs_freelist_index(bytes), index);
}

static void perform(const struct fuzz_op *op)
{
    switch ((enum kind)op->kind) {
    case LINK:
        expect_index(op->bytes);
        if (!on_list[op->slot])
            link_slot(op->slot, size_here(op->bytes));
        break;
    case UNLINK:
        if (on_list[op->slot])
            unlink_slot(op->slot);
        break;
    case FIND:
        find(size_here(op->bytes), strategy == HEAPSTER_NEXT_FIT && (op->extra & 1) != 0);
        break;
    case LARGEST:
        expect_largest();
        break;
    case SET_STRATEGY:
        set_strategy(op->extra);
        break;
    }
}

static void run(const struct fuzz_program *program) HS_NO_ANALYSIS
{
    bounds.low = (uintptr_t)memory;
    bounds.high = (uintptr_t)memory + (FUZZ_SLOTS + 1) * LIMIT_BYTES;
    memset(&list, 0, sizeof list);
    hs_freelist_init(&list, program->header[0] % HS_LISTS, ARENA, &bounds);
    count = cursor = 0;
    memset(on_list, 0, sizeof on_list);
    hs_mutex_lock(&list.lock);
    set_strategy(program->header[1]);
    for (unsigned i = 0; i < program->op_count; i++) {
        perform(&program->ops[i]);
        if (hs_thread()->damage != NULL)
            fuzz_fail("damage was noted at %p", hs_thread()->damage);
        if (fuzz_walks_each || i + 1 == program->op_count) {
            expect_order();
            expect_tree();
        }
    }
    hs_mutex_unlock(&list.lock);
}

static void prepare(void)
{
    /* Where it lies decides the shape of trees: at one place, where the process has room there, an input replays. */
    memory = mmap((void *)(uintptr_t)PLACE, (FUZZ_SLOTS + 1) * LIMIT_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        exit(1);
}

static void print_header(FILE *out, const struct fuzz_program *program)
{
    (void)fprintf(out, "list %u, strategy %u\n", (unsigned)program->header[0] % HS_LISTS, program->header[1] & 3U);
}

const struct fuzz_target fuzz_target = {
    .name = "freelist",
    .kinds = kinds,
    .kind_count = KINDS,
    .prepare = prepare,
    .run = run,
    .print_header = print_header,
    .why_no_c = "blocks are put on one free list and taken off, below any malloc",
};
