/*
 * freetree: the search tree of a range list; see freelist.h for what it is for and for its invariant F5.
 *
 * A treap: a binary tree ordered by key from left to right, and a heap by priority from top to bottom. Priorities are
 * a keyed hash of the address, so the shape is as good as random whatever sizes a program asks for.
 *
 * No function here follows a pointer into a damaged block unseen: each link is validated before it is followed. Where
 * it finds damage the function gives up and says so; the list is then abandoned by freelist.c.
 */
#ifndef HS_FREETREE_H
#define HS_FREETREE_H

#include "freelist.h"

/* True if `a` stands left of `b` under the list's key. */
bool hs_freetree_before(const struct hs_freelist *list, const struct hs_free_block *a, const struct hs_free_block *b);
uint64_t hs_freetree_priority(const struct hs_free_block *block);

/* False where damage was met. */
bool hs_freetree_insert(struct hs_freelist *list, struct hs_free_block *block) HS_REQUIRES(list->lock);
bool hs_freetree_remove(struct hs_freelist *list, struct hs_free_block *block) HS_REQUIRES(list->lock);

/* Each returns NULL where there is none, and sets *damaged where it met damage. */
struct hs_free_block *hs_freetree_leftmost(struct hs_freelist *list, uint32_t extent, bool *damaged)
    HS_REQUIRES(list->lock);
struct hs_free_block *hs_freetree_leftmost_from(struct hs_freelist *list, struct hs_free_block *from, uint32_t extent,
                                                bool *damaged) HS_REQUIRES(list->lock);
/* The extent of the largest block, 0 for an empty tree. */
uint32_t hs_freetree_largest(struct hs_freelist *list, bool *damaged) HS_REQUIRES(list->lock);
struct hs_free_block *hs_freetree_smallest(struct hs_freelist *list, uint32_t extent, bool *damaged)
    HS_REQUIRES(list->lock);

#endif
