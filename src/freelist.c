#include "freelist.h"

#include "freetree.h"
#include "heapster.h"

enum { RANGE_SHIFT = 8, LAST_SHIFT = 20 };

_Static_assert(HS_RANGE_BYTES_LEAST == 1 << RANGE_SHIFT, "the first range list begins at a power of two");
_Static_assert(HS_EXACT_LISTS + (LAST_SHIFT - RANGE_SHIFT) * 4 + 1 == HS_LISTS, "lists by size");
_Static_assert(sizeof(struct hs_free_block) + HS_FOOTER_BYTES <= HS_RANGE_BYTES_LEAST, "the tree fits range blocks");
_Static_assert(HS_LISTS <= HS_LISTS_MAX, "a state names a list");

static unsigned log2_of(size_t number)
{
    return (unsigned)(sizeof(long long) * 8 - 1) - (unsigned)__builtin_clzll((unsigned long long)number);
}

unsigned hs_freelist_index(size_t block_bytes)
{
    unsigned shift;

    if (block_bytes < HS_RANGE_BYTES_LEAST)
        return (unsigned)((block_bytes - HS_BLOCK_BYTES_LEAST) / HS_ALIGNMENT);
    shift = log2_of(block_bytes);
    if (shift >= LAST_SHIFT)
        return HS_LISTS - 1;
    return HS_EXACT_LISTS + (shift - RANGE_SHIFT) * 4 + (unsigned)(block_bytes >> (shift - 2) & 3);
}

size_t hs_freelist_least_bytes(unsigned index)
{
    unsigned range;

    if (index < HS_EXACT_LISTS)
        return HS_BLOCK_BYTES_LEAST + index * HS_ALIGNMENT;
    range = index - HS_EXACT_LISTS;
    return (size_t)(4 + range % 4) << (range / 4 + RANGE_SHIFT - 2);
}

void hs_freelist_init(struct hs_freelist *list, unsigned index, unsigned arena, const struct hs_bounds *bounds)
{
    hs_mutex_init(&list->lock, HS_RANK_LIST + index);
    list->index = (uint8_t)index;
    list->arena = (uint16_t)arena;
    list->bounds = bounds;
}

void hs_freelist_note_damage(const void *address)
{
    if (hs_thread()->damage == NULL)
        hs_thread()->damage = address;
}

bool hs_freelist_plausible(const struct hs_freelist *list, const struct hs_free_block *block)
{
    uintptr_t address = (uintptr_t)block;

    /* Relaxed: widened before the first block of a new region was published under a list's lock. */
    return address >= hs_load_relaxed(&list->bounds->low) && address < hs_load_relaxed(&list->bounds->high) &&
           address % HS_ALIGNMENT == HS_TAG_BYTES && hs_block_state(&block->tag) == HS_STATE_FREE + list->index &&
           hs_block_is_intact(&block->tag);
}

/* Marks what can be reached from `node` in one direction as USED: lost, but part of a heap that tiles. */
static void condemn(struct hs_freelist *list, struct hs_free_block *node, bool forwards) HS_REQUIRES(list->lock)
{
    for (uint64_t left = list->blocks; node != NULL && left > 0 && hs_freelist_plausible(list, node); left--) {
        hs_block_set_state(&node->tag, HS_STATE_USED);
        hs_block_set_left(hs_block_right(&node->tag), 0);
        node = forwards ? node->next : node->previous;
    }
}

/* Because of what was found at `node`, or of a link that led there. */
static void abandon(struct hs_freelist *list, const struct hs_free_block *node) HS_REQUIRES(list->lock)
{
    hs_freelist_note_damage((const char *)node + HS_TAG_BYTES);
    condemn(list, list->head, true);
    condemn(list, list->tail, false);
    list->head = list->tail = list->root = list->cursor = NULL;
    list->blocks = list->bytes = 0;
}

static bool has_tree(const struct hs_freelist *list)
{
    return list->index >= HS_EXACT_LISTS;
}

void hs_freelist_link_locked(struct hs_freelist *list, struct hs_block *block)
{
    struct hs_free_block *node = (struct hs_free_block *)block;
    struct hs_free_block *head = list->head;

    hs_mutex_assert_held(&list->lock);
    if (head != NULL && !hs_freelist_plausible(list, head)) {
        abandon(list, head);
        head = NULL;
    }
    if (has_tree(list)) {
        node->sequence = list->next_sequence++;
        if (!hs_freetree_insert(list, node)) {
            abandon(list, node);
            head = NULL;
            (void)hs_freetree_insert(list, node);
        }
    }
    node->next = head;
    node->previous = NULL;
    if (head != NULL)
        head->previous = node;
    else
        list->tail = node;
    list->head = node;
    list->blocks++;
    list->bytes += hs_block_bytes(block);
}

static bool next_agrees(const struct hs_freelist *list, const struct hs_free_block *node)
{
    if (node->next == NULL)
        return list->tail == node;
    return hs_freelist_plausible(list, node->next) && node->next->previous == node;
}

static bool previous_agrees(const struct hs_freelist *list, const struct hs_free_block *node)
{
    if (node->previous == NULL)
        return list->head == node;
    return hs_freelist_plausible(list, node->previous) && node->previous->next == node;
}

static bool footer_agrees(struct hs_free_block *node)
{
    return *hs_block_footer_before(hs_block_right(&node->tag)) == hs_block_bytes(&node->tag);
}

/* What a program that writes to a freed block destroys first, and what an overflow from the left does. */
bool hs_freelist_is_undamaged(const struct hs_freelist *list, struct hs_free_block *node)
{
    return hs_freelist_plausible(list, node) && next_agrees(list, node) && previous_agrees(list, node) &&
           footer_agrees(node);
}

bool hs_freelist_unlink_locked(struct hs_freelist *list, struct hs_block *block)
{
    struct hs_free_block *node = (struct hs_free_block *)block;

    hs_mutex_assert_held(&list->lock);
    /* An empty list has nothing to take off: the block was lost with an abandoned one. */
    if (list->blocks == 0 || !hs_freelist_is_undamaged(list, node) ||
        (has_tree(list) && !hs_freetree_remove(list, node))) {
        abandon(list, node);
        return false;
    }
    if (node->next != NULL)
        node->next->previous = node->previous;
    else
        list->tail = node->previous;
    if (node->previous != NULL)
        node->previous->next = node->next;
    else
        list->head = node->next;
    if (list->cursor == node)
        list->cursor = node->next;
    list->blocks--;
    list->bytes -= hs_block_bytes(block);
    return true;
}

static struct hs_free_block *find_in_tree(struct hs_freelist *list, uint32_t extent, bool from_cursor, bool *damaged)
    HS_REQUIRES(list->lock)
{
    switch (list->strategy) {
    case HEAPSTER_BEST_FIT:
        return hs_freetree_smallest(list, extent, damaged);
    case HEAPSTER_WORST_FIT:
        /* The leftmost of those that are as large as the largest. */
        if (hs_freetree_largest(list, damaged) < extent)
            return NULL;
        return hs_freetree_leftmost(list, hs_freetree_largest(list, damaged), damaged);
    case HEAPSTER_NEXT_FIT:
        if (from_cursor)
            return hs_freetree_leftmost_from(list, list->cursor, extent, damaged);
        return hs_freetree_leftmost(list, extent, damaged);
    default:
        return hs_freetree_leftmost(list, extent, damaged);
    }
}

struct hs_block *hs_freelist_find_locked(struct hs_freelist *list, size_t block_bytes, bool from_cursor)
{
    struct hs_free_block *found;
    bool damaged = false;

    hs_mutex_assert_held(&list->lock);
    if (has_tree(list))
        found = find_in_tree(list, (uint32_t)(block_bytes / HS_ALIGNMENT), from_cursor, &damaged);
    else
        found = from_cursor ? list->cursor : list->head;
    if (damaged || (found != NULL && !hs_freelist_plausible(list, found))) {
        abandon(list, found != NULL ? found : list->head);
        return NULL;
    }
    if (found == NULL || hs_block_bytes(&found->tag) < block_bytes)
        return NULL;
    return &found->tag;
}

size_t hs_freelist_largest_locked(struct hs_freelist *list)
{
    hs_mutex_assert_held(&list->lock);
    if (list->head == NULL)
        return 0;
    if (!has_tree(list))
        return hs_freelist_least_bytes(list->index);
    return list->root != NULL ? (size_t)list->root->largest_below * HS_ALIGNMENT : 0;
}

void hs_freelist_set_strategy_locked(struct hs_freelist *list, uint8_t strategy)
{
    struct hs_free_block *newest = list->head;
    bool same_key;

    hs_mutex_assert_held(&list->lock);
    same_key = (list->strategy == HEAPSTER_BEST_FIT) == (strategy == HEAPSTER_BEST_FIT);
    list->cursor = NULL;
    list->strategy = strategy;
    if (!has_tree(list) || same_key)
        return;
    /* From the oldest on, so that by publication each is the newest so far, at the head. */
    list->root = NULL;
    for (struct hs_free_block *node = newest; node != NULL; node = node->next) {
        if (!hs_freelist_is_undamaged(list, node)) {
            abandon(list, node);
            return;
        }
    }
    for (struct hs_free_block *node = list->tail; node != NULL; node = node->previous) {
        list->head = node->next;
        (void)hs_freetree_insert(list, node);
    }
    list->head = newest;
}
