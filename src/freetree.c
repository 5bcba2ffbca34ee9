#include "freetree.h"

#include "heapster.h"

static uint32_t extent_of(const struct hs_free_block *block)
{
    return (uint32_t)(hs_block_bytes(&block->tag) / HS_ALIGNMENT);
}

uint64_t hs_freetree_priority(const struct hs_free_block *block)
{
    uint64_t bits = hs_wrap_multiply((uintptr_t)block ^ hs_block_key, UINT64_C(0xD6E8FEB86659FD93));

    /* Twice: one product leaves addresses at a regular distance in a regular order. */
    return hs_wrap_multiply(bits ^ bits >> 32, UINT64_C(0xD6E8FEB86659FD93));
}

bool hs_freetree_before(const struct hs_freelist *list, const struct hs_free_block *a, const struct hs_free_block *b)
{
    if (list->strategy == HEAPSTER_BEST_FIT && extent_of(a) != extent_of(b))
        return extent_of(a) < extent_of(b);
    return a->sequence > b->sequence;
}

/* True if `child` may be followed from `parent`: absent, or plausible and pointing back. */
static bool step_is_sound(const struct hs_freelist *list, const struct hs_free_block *parent,
                          const struct hs_free_block *child)
{
    if (child == NULL)
        return true;
    return hs_freelist_plausible(list, child) && child->parent == parent;
}

/* True if both children may be followed and so may the way up. */
static bool node_is_sound(const struct hs_freelist *list, const struct hs_free_block *node)
{
    const struct hs_free_block *parent = node->parent;

    if (!step_is_sound(list, node, node->child[0]) || !step_is_sound(list, node, node->child[1]))
        return false;
    if (parent == NULL)
        return list->root == node;
    return hs_freelist_plausible(list, parent) && (parent->child[0] == node || parent->child[1] == node);
}

static uint32_t largest_below(const struct hs_free_block *node)
{
    return node != NULL ? node->largest_below : 0;
}

static uint32_t largest_of(const struct hs_free_block *node)
{
    uint32_t largest = extent_of(node);

    for (unsigned side = 0; side < 2; side++)
        if (largest_below(node->child[side]) > largest)
            largest = node->child[side]->largest_below;
    return largest;
}

/* Recomputes what the node says of its subtree; true if that changed. */
static bool refresh(struct hs_free_block *node)
{
    uint32_t largest = largest_of(node);

    if (largest == node->largest_below)
        return false;
    node->largest_below = largest;
    return true;
}

/* The same for a search, which believes what the node says of its subtree. */
static bool node_is_true(const struct hs_freelist *list, const struct hs_free_block *node)
{
    return node_is_sound(list, node) && node->largest_below == largest_of(node);
}

static unsigned side_of(const struct hs_free_block *node)
{
    return node->parent->child[1] == node;
}

/* Puts `successor` (or nothing) where `gone` hung. */
static void hang_instead(struct hs_freelist *list, struct hs_free_block *gone, struct hs_free_block *successor)
{
    if (gone->parent == NULL)
        list->root = successor;
    else
        gone->parent->child[side_of(gone)] = successor;
    if (successor != NULL)
        successor->parent = gone->parent;
}

/*        parent              node
 *        /    \              /  \
 *      node    c    <->     a   parent      node moves up one level, the order stays
 *      /  \                     /    \
 *     a    b                   b      c        */
static void rotate_up(struct hs_freelist *list, struct hs_free_block *node)
{
    struct hs_free_block *parent = node->parent;
    unsigned side = side_of(node);
    struct hs_free_block *inner = node->child[!side];

    hang_instead(list, parent, node);
    parent->child[side] = inner;
    if (inner != NULL)
        inner->parent = parent;
    node->child[!side] = parent;
    parent->parent = node;
    (void)refresh(parent);
    (void)refresh(node);
}

/* The leaf below which `block` belongs; NULL with *sound still true for an empty tree. */
static struct hs_free_block *find_parent(struct hs_freelist *list, const struct hs_free_block *block, unsigned *side,
                                         bool *sound)
{
    struct hs_free_block *parent = NULL, *node = list->root;

    *side = 0;
    /* The newest block is the leftmost by publication, and the head of the list is the newest so far. */
    if (list->strategy != HEAPSTER_BEST_FIT && node != NULL) {
        parent = list->head;
        *sound = parent->child[0] == NULL && node_is_sound(list, parent);
        return parent;
    }
    while (node != NULL) {
        if (!step_is_sound(list, parent, node)) {
            *sound = false;
            return NULL;
        }
        parent = node;
        *side = hs_freetree_before(list, node, block);
        node = node->child[*side];
    }
    return parent;
}

bool hs_freetree_insert(struct hs_freelist *list, struct hs_free_block *block)
{
    bool sound = true;
    unsigned side;
    struct hs_free_block *parent = find_parent(list, block, &side, &sound);

    if (!sound)
        return false;
    block->child[0] = block->child[1] = NULL;
    block->parent = parent;
    block->largest_below = extent_of(block);
    if (parent == NULL) {
        list->root = block;
        return true;
    }
    parent->child[side] = block;
    for (struct hs_free_block *up = parent; up != NULL && up->largest_below < block->largest_below; up = up->parent) {
        if (!node_is_sound(list, up))
            return false;
        up->largest_below = block->largest_below;
    }
    while (block->parent != NULL && hs_freetree_priority(block->parent) < hs_freetree_priority(block)) {
        if (!node_is_sound(list, block->parent))
            return false;
        rotate_up(list, block);
    }
    return true;
}

bool hs_freetree_remove(struct hs_freelist *list, struct hs_free_block *block)
{
    struct hs_free_block *up, *below;

    if (!node_is_sound(list, block))
        return false;
    while (block->child[0] != NULL && block->child[1] != NULL) {
        unsigned higher = hs_freetree_priority(block->child[0]) < hs_freetree_priority(block->child[1]);

        if (!node_is_sound(list, block->child[higher]))
            return false;
        rotate_up(list, block->child[higher]);
    }
    below = block->child[block->child[0] == NULL];
    up = block->parent;
    hang_instead(list, block, below);
    for (; up != NULL; up = up->parent) {
        if (!node_is_sound(list, up))
            return false;
        if (!refresh(up))
            break;
    }
    return true;
}

/* The leftmost in the subtree of `node` with at least `extent`; there is one. */
static struct hs_free_block *leftmost_below(struct hs_freelist *list, struct hs_free_block *node, uint32_t extent,
                                            bool *damaged)
{
    for (;;) {
        if (!node_is_true(list, node)) {
            *damaged = true;
            return NULL;
        }
        if (largest_below(node->child[0]) >= extent)
            node = node->child[0];
        else if (extent_of(node) >= extent)
            return node;
        else if (largest_below(node->child[1]) >= extent)
            node = node->child[1];
        else {
            *damaged = true;
            return NULL;
        }
    }
}

struct hs_free_block *hs_freetree_leftmost(struct hs_freelist *list, uint32_t extent, bool *damaged)
{
    return hs_freetree_largest(list, damaged) >= extent ? leftmost_below(list, list->root, extent, damaged) : NULL;
}

uint32_t hs_freetree_largest(struct hs_freelist *list, bool *damaged)
{
    struct hs_free_block *root = list->root;

    if (root == NULL)
        return 0;
    if (!step_is_sound(list, NULL, root) || !node_is_true(list, root)) {
        *damaged = true;
        return 0;
    }
    return root->largest_below;
}

struct hs_free_block *hs_freetree_leftmost_from(struct hs_freelist *list, struct hs_free_block *from, uint32_t extent,
                                                bool *damaged)
{
    struct hs_free_block *node = from;
    bool came_from_right = false; /* then the node and all left of it lie before `from` */

    while (node != NULL) {
        if (!node_is_true(list, node)) {
            *damaged = true;
            return NULL;
        }
        if (!came_from_right) {
            if (extent_of(node) >= extent)
                return node;
            if (largest_below(node->child[1]) >= extent)
                return leftmost_below(list, node->child[1], extent, damaged);
        }
        came_from_right = node->parent != NULL && side_of(node) == 1;
        node = node->parent;
    }
    return NULL;
}

struct hs_free_block *hs_freetree_smallest(struct hs_freelist *list, uint32_t extent, bool *damaged)
{
    struct hs_free_block *parent = NULL, *node = list->root, *smallest = NULL;

    while (node != NULL) {
        bool fits;

        if (!step_is_sound(list, parent, node) || !node_is_true(list, node)) {
            *damaged = true;
            return NULL;
        }
        fits = extent_of(node) >= extent;
        if (fits)
            smallest = node;
        parent = node;
        node = node->child[!fits];
    }
    return smallest;
}
