#include "check_parts.h"

#include "cache_parts.h"
#include "freetree.h"
#include "large_cache.h"
#include "options.h"
#include "report.h"
#include "visible_memory.h"

/* What the tiling of an arena says, to be held against its lists and its account. */
struct tally {
    uint64_t blocks_on[HS_LISTS];
    uint64_t bytes_on[HS_LISTS];
    uint64_t lists;                   /* on which there are any, a bit each */
    uint64_t used_blocks, used_bytes; /* FREEING ones are not taken back yet, and count */
    uint64_t busy_blocks;
    uint64_t cached_blocks, runs; /* CACHED and not SEEN: no cache that was asked holds it */
    uint64_t regions, region_bytes;
    bool complete; /* every region was walked to its end */
};

void hs_check_report(struct hs_checker *checker, const char *invariant, const void *address, const char *text)
{
    checker->broken++;
    if (checker->report != NULL)
        checker->report(invariant, address, text, checker->context);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static bool state_is_valid(uint8_t state)
{
    if (hs_state_is_free(state))
        return hs_state_list(state) < HS_LISTS;
    return state == HS_STATE_USED || state == HS_STATE_CACHED || state == HS_STATE_SENT || state == HS_STATE_SEEN ||
           state == HS_STATE_FREEING || state == HS_STATE_BUSY || state == HS_STATE_RUN;
}

static bool is_linked(struct hs_freelist *list, const struct hs_free_block *node) HS_NO_ANALYSIS
{
    if (node->previous == NULL)
        return list->head == node;
    return hs_freelist_plausible(list, node->previous) && node->previous->next == node;
}

static void check_free_block(struct hs_checker *checker, struct hs_arena *arena, struct hs_block *block,
                             struct tally *tally)
{
    unsigned index = hs_state_list(hs_block_state(block));
    size_t bytes = hs_block_bytes(block);
    const void *payload = hs_block_payload(block);

    (void)hs_check_expect(checker, *hs_block_footer_before(hs_block_right(block)) == bytes, "B5", payload,
                          "the footer of a free block is not its size");
    (void)hs_check_expect(checker, is_linked(&arena->lists[index], (struct hs_free_block *)block), "F3", payload,
                          "a free block is not on the list that its state names");
    tally->blocks_on[index]++;
    tally->bytes_on[index] += bytes;
    tally->lists |= UINT64_C(1) << index;
}

/* The tag at `block`, whose left neighbour was in state `left_state` (USED at the start of a region). False where the
 * walk cannot go on. */
static bool check_tag(struct hs_checker *checker, struct hs_arena *arena, const struct hs_region *region,
                      struct hs_block *block, uint8_t left_state)
{
    const void *payload = hs_block_payload(block);
    uint8_t expected_left = hs_state_is_free(left_state) ? (uint8_t)(1 + hs_state_list(left_state)) : 0;
    size_t bytes = hs_block_tile_bytes(block);
    size_t room = (size_t)((char *)hs_region_end_tag(region) - (char *)block);

    (void)hs_check_expect(checker, hs_block_is_intact(block), "B2", payload, "a tag does not verify");
    (void)hs_check_expect(checker, hs_block_left(block) == expected_left, "B4", payload,
                          "left does not say what the left neighbour is");
    (void)hs_check_expect(checker, hs_block_arena(block) == arena->number, "B7", payload,
                          "the arena number is another one");
    if (!hs_check_expect(checker, bytes <= room && bytes != 0, "B1", payload, "a block does not end within its region"))
        return false;
    (void)hs_check_expect(checker, bytes >= HS_BLOCK_BYTES_LEAST, "B7", payload, "a block is shorter than the least");
    return true;
}

static void check_block(struct hs_checker *checker, struct hs_arena *arena, struct hs_block *block, uint8_t left_state,
                        struct tally *tally)
{
    uint8_t state = hs_block_state(block);
    const void *payload = hs_block_payload(block);

    if (!hs_check_expect(checker, state_is_valid(state), "B3", payload, "the state is none that a block can have"))
        return;
    if (hs_state_is_free(state)) {
        (void)hs_check_expect(checker, !hs_state_is_free(left_state), "B6", payload, "two neighbours are both free");
        check_free_block(checker, arena, block, tally);
    } else if (state == HS_STATE_BUSY) {
        tally->busy_blocks++;
    } else {
        tally->cached_blocks += state == HS_STATE_CACHED || state == HS_STATE_SENT;
        tally->runs += state == HS_STATE_RUN;
        tally->used_blocks++;
        tally->used_bytes += hs_block_tile_bytes(block);
    }
}

/* False where the walk cannot go on. */
static bool check_run(struct hs_checker *checker, const struct hs_block *run)
{
    size_t uncut_bytes = hs_block_tile_bytes(run);

    return hs_check_expect(checker,
                           uncut_bytes >= HS_BLOCK_BYTES_LEAST && uncut_bytes <= hs_block_bytes(run) &&
                               uncut_bytes % HS_ALIGNMENT == 0,
                           "B8", hs_block_payload(run), "a run does not say where its uncut part ends");
}

static void check_map(struct hs_checker *checker, struct hs_region *region)
{
    size_t bytes = hs_load_relaxed(&region->bytes); /* relaxed: under the arena's lock */

    if (hs_region_is_overlay(region)) {
        (void)hs_check_expect(checker, hs_region_overlay_find(region->base) == region, "R1", region->base,
                              "an overlay is not on the list of overlays");
        return;
    }
    for (size_t offset = 0; offset < bytes; offset += HS_GRANULE_BYTES)
        if (!hs_check_expect(checker, hs_region_find(region->base + offset) == region, "R1", region->base + offset,
                             "the region map does not lead to the region"))
            return;
}

static void check_region(struct hs_checker *checker, struct hs_arena *arena, struct hs_region *region,
                         struct tally *tally)
{
    struct hs_block *block = hs_region_first_block(region), *end = hs_region_end_tag(region);
    uint8_t left_state = HS_STATE_USED;

    (void)hs_check_expect(checker, region->arena == arena, "A2", region->base, "a region leads to another arena");
    check_map(checker, region);
    tally->regions++;
    tally->region_bytes += hs_load_relaxed(&region->bytes); /* relaxed: under the arena's lock */
    while (block < end) {
        if ((hs_block_state(block) == HS_STATE_RUN && !check_run(checker, block)) ||
            !check_tag(checker, arena, region, block, left_state)) {
            tally->complete = false;
            return;
        }
        check_block(checker, arena, block, left_state, tally);
        left_state = hs_block_state(block);
        block = hs_block_at(block, hs_block_tile_bytes(block));
    }
    (void)hs_check_expect(checker, block == end && hs_block_state(end) == HS_STATE_END && hs_block_is_intact(end), "B1",
                          end, "a region does not end at its END tag");
    (void)hs_check_expect(checker,
                          hs_block_left(end) == (hs_state_is_free(left_state) ? 1 + hs_state_list(left_state) : 0),
                          "B4", end, "the END tag does not say what the last block is");
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* A link may be followed: it leads to where a tag of this arena can stand. */
static bool lies_in(const struct hs_arena *arena, const void *address) HS_NO_ANALYSIS
{
    if ((uintptr_t)address % HS_ALIGNMENT != HS_TAG_BYTES)
        return false;
    for (const struct hs_region *region = arena->regions; region != NULL; region = region->next)
        if (hs_region_holds(region, address) &&
            (const char *)hs_region_end_tag(region) - (const char *)address >= (ptrdiff_t)HS_BLOCK_BYTES_LEAST)
            return true;
    return false;
}

static bool belongs_on(const struct hs_freelist *list, const struct hs_free_block *node)
{
    return hs_freelist_plausible(list, node) && hs_freelist_index(hs_block_bytes(&node->tag)) == list->index;
}

/* Of most lists there is nothing else to see: no block by any link or count. */
static bool is_empty(const struct hs_freelist *list) HS_REQUIRES(list->lock)
{
    uintptr_t links = (uintptr_t)list->head | (uintptr_t)list->tail | (uintptr_t)list->cursor | (uintptr_t)list->root;

    return (links | list->blocks | list->bytes) == 0;
}

static void check_list(struct hs_checker *checker, struct hs_arena *arena, struct hs_freelist *list,
                       const struct tally *tally) HS_REQUIRES(list->lock)
{
    const struct hs_free_block *previous = NULL, *node = list->head;
    uint64_t blocks = 0, bytes = 0;
    bool cursor_seen = list->cursor == NULL;
    bool bit = (hs_load_relaxed(&arena->nonempty) >> list->index & 1) != 0; /* relaxed: under the list's lock */

    (void)hs_check_expect(checker, bit == (node != NULL), "A1", list, "a bit of nonempty is not what its list is");
    while (node != NULL) {
        if (!hs_check_expect(checker, lies_in(arena, node), "F2", node, "a link leads outside the arena") ||
            !hs_check_expect(checker, node->previous == previous, "F2", node, "next and previous do not agree") ||
            !hs_check_expect(checker, blocks <= list->blocks, "F2", node, "a list does not end where its count says"))
            return;
        (void)hs_check_expect(checker, belongs_on(list, node), "F1", node,
                              "a block is on a list that it does not belong on");
        cursor_seen |= node == list->cursor;
        blocks++;
        bytes += hs_block_bytes(&node->tag);
        previous = node;
        node = node->next;
    }
    (void)hs_check_expect(checker, list->tail == previous, "F2", list, "the tail is not where the list ends");
    (void)hs_check_expect(checker, list->blocks == blocks && list->bytes == bytes, "F4", list,
                          "a list's count of blocks or bytes is wrong");
    (void)hs_check_expect(checker, cursor_seen, "F6", list->cursor, "the cursor is not on its list");
    if (tally->complete)
        (void)hs_check_expect(checker, tally->blocks_on[list->index] == blocks && tally->bytes_on[list->index] == bytes,
                              "F3", list, "the regions hold other free blocks than the list");
}

/* Verifies the node and returns its in-order successor; the tree is walked without a stack. */
static bool check_tree_node(struct hs_checker *checker, struct hs_arena *arena, const struct hs_freelist *list,
                            const struct hs_free_block *node, const struct hs_free_block *before)
{
    uint32_t largest = (uint32_t)(hs_block_bytes(&node->tag) / HS_ALIGNMENT);

    for (unsigned side = 0; side < 2; side++) {
        const struct hs_free_block *child = node->child[side];

        if (child == NULL)
            continue;
        if (!hs_check_expect(checker, lies_in(arena, child) && child->parent == node, "F5", node,
                             "a child of the tree does not point back"))
            return false;
        (void)hs_check_expect(checker, hs_freetree_priority(child) <= hs_freetree_priority(node), "F5", child,
                              "the tree is no heap by priority");
        if (child->largest_below > largest)
            largest = child->largest_below;
    }
    (void)hs_check_expect(checker, node->largest_below == largest, "F5", node, "the largest below a node is wrong");
    if (before != NULL)
        (void)hs_check_expect(checker, hs_freetree_before(list, before, node), "F5", node, "the tree is out of order");
    return true;
}

static const struct hs_free_block *leftmost(const struct hs_free_block *node, const struct hs_arena *arena)
{
    while (node != NULL && node->child[0] != NULL && lies_in(arena, node->child[0]) && node->child[0]->parent == node)
        node = node->child[0];
    return node;
}

static void check_tree(struct hs_checker *checker, struct hs_arena *arena, struct hs_freelist *list)
    HS_REQUIRES(list->lock)
{
    const struct hs_free_block *node = list->root, *before = NULL;
    uint64_t blocks = 0;

    if (list->index < HS_EXACT_LISTS)
        return;
    if (node != NULL && !hs_check_expect(checker, lies_in(arena, node) && node->parent == NULL, "F5", list,
                                         "the root of a tree is none"))
        return;
    node = leftmost(node, arena);
    while (node != NULL && blocks <= list->blocks) {
        if (!check_tree_node(checker, arena, list, node, before))
            return;
        before = node;
        blocks++;
        if (node->child[1] != NULL) {
            node = leftmost(node->child[1], arena);
        } else {
            while (node->parent != NULL && node == node->parent->child[1])
                node = node->parent;
            node = node->parent;
        }
    }
    (void)hs_check_expect(checker, blocks == list->blocks, "F5", list, "the tree holds other blocks than the list");
}

/* Apart from the loop over all lists, most of which are empty. */
HS_NOINLINE static void check_used_list(struct hs_checker *checker, struct hs_arena *arena, struct hs_freelist *list,
                                        const struct tally *tally) HS_REQUIRES(list->lock)
{
    check_list(checker, arena, list, tally);
    check_tree(checker, arena, list);
}

/* ---- arenas and large mappings -------------------------------------------------------------------------------------
 */

/* What the accounts of an arena and its lists say together, each of which may go below zero alone. */
struct balance {
    uint64_t handed_out, in_flight, used_bytes;
};

static void add_account(struct balance *balance, const struct hs_account *account)
{
    uint64_t handed_out = hs_wrap_subtract(account->allocations, account->frees);
    uint64_t in_flight = hs_wrap_subtract(account->claimed, account->settled);

    balance->handed_out = hs_wrap_add(balance->handed_out, handed_out);
    balance->in_flight = hs_wrap_add(balance->in_flight, in_flight);
    balance->used_bytes = hs_wrap_add(balance->used_bytes, hs_load_relaxed(&account->used_bytes)); /* under the lock */
}

struct cached_in_arena {
    const struct hs_arena *arena;
    uint64_t runs, run_cuts;
};

static void add_runs(struct hs_cache *cache, void *context)
{
    struct cached_in_arena *cached = context;

    if (cache->arena != cached->arena)
        return;
    cached->runs += cache->run != NULL;
    cached->run_cuts += hs_load_relaxed(&cache->run_cuts); /* relaxed: at rest */
}

static void check_rest(struct hs_checker *checker, const struct hs_arena *arena, const struct tally *tally,
                       const struct balance *balance)
{
    struct cached_in_arena cached = {.arena = arena};

    hs_cache_for_each_locked(add_runs, &cached);
    (void)hs_check_expect(checker, tally->cached_blocks == 0, "C2", arena, "a cached block is in no cache");
    (void)hs_check_expect(checker, tally->runs == cached.runs, "C3", arena, "a run is no cache's");
    (void)hs_check_expect(checker, tally->busy_blocks == 0, "A3", arena, "a block is in flight at rest");
    (void)hs_check_expect(checker, balance->in_flight == 0, "A4", arena, "a claim is in flight at rest");
    (void)hs_check_expect(checker, balance->used_bytes == tally->used_bytes, "A5", arena,
                          "used_bytes is not the sum of the used blocks");
    (void)hs_check_expect(checker, hs_wrap_add(balance->handed_out, cached.run_cuts) == tally->used_blocks, "A5", arena,
                          "allocations less frees is not the number of used blocks");
}

static bool touches_another(const struct hs_large_set *set, const struct hs_region *region)
{
    for (const struct hs_region *run = set->cached; run != NULL; run = run->next)
        if (hs_large_cache_touch(region, run))
            return true;
    return false;
}

static void check_large_cache_locked(struct hs_checker *checker, struct hs_large_set *set) HS_REQUIRES(set->lock)
{
    size_t runs = 0, bytes = 0, page = hs_os_page_bytes();

    for (struct hs_region *run = set->cached; run != NULL; run = run->next) {
        size_t run_bytes = hs_load_relaxed(&run->bytes); /* relaxed: under the set's lock */

        (void)hs_check_expect(checker, ((uintptr_t)run->base | run_bytes) % page == 0 && run_bytes >= HS_GRANULE_BYTES,
                              "L5", run->base, "a run in the cache is not whole pages, or too short");
        (void)hs_check_expect(checker, !run->is_live && hs_region_find(hs_large_payload(run)) == NULL, "L5", run->base,
                              "a run in the cache is in use");
        (void)hs_check_expect(checker, !touches_another(set, run), "L5", run->base, "two runs in the cache touch");
        runs++;
        bytes += run_bytes;
    }
    (void)hs_check_expect(checker, runs == set->cached_runs && bytes == set->cached_bytes, "L5", set,
                          "a cache's count of runs or bytes is wrong");
}

static void check_large_set(struct hs_checker *checker, struct hs_large_set *set)
{
    uint64_t blocks = 0, bytes = 0;
    size_t page = hs_os_page_bytes();

    hs_mutex_lock(&set->lock);
    for (struct hs_region *region = set->head; region != NULL; region = region->next) {
        size_t region_bytes = hs_load_relaxed(&region->bytes); /* relaxed: under the set's lock */
        struct hs_block *tag = hs_block_of(hs_large_payload(region));

        (void)hs_check_expect(checker,
                              hs_block_is_intact(tag) && hs_block_state(tag) == HS_STATE_LARGE &&
                                  hs_block_arena(tag) == HS_ARENA_LARGE,
                              "L1", hs_large_payload(region), "the tag of a large block does not verify");
        (void)hs_check_expect(checker, hs_region_find(hs_large_payload(region)) == region && region->set == set, "L2",
                              hs_large_payload(region), "the region map does not lead to a large block");
        (void)hs_check_expect(checker,
                              ((uintptr_t)region->base | region_bytes) % page == 0 && region_bytes >= HS_GRANULE_BYTES,
                              "L4", region->base, "a large mapping is not whole pages, or too short");
        blocks++;
        bytes += region_bytes;
    }
    (void)hs_check_expect(checker, blocks == set->blocks && bytes == set->bytes, "L3", set,
                          "a set's count of large blocks or bytes is wrong");
    check_large_cache_locked(checker, set);
    hs_mutex_unlock(&set->lock);
}

static bool check_arena(struct hs_arena *arena, void *context) HS_NO_ANALYSIS
{
    struct hs_checker *checker = context;
    struct tally tally = {.complete = true};
    struct balance balance = {0};
    uint64_t lists; /* of which a bit or the regions say that they hold something */

    hs_arena_lock_all(arena);
    for (struct hs_region *region = arena->regions; region != NULL; region = region->next)
        check_region(checker, arena, region, &tally);
    (void)hs_check_expect(checker, tally.regions == arena->region_count && tally.region_bytes == arena->region_bytes,
                          "A2", arena, "the count of regions or their bytes is wrong");
    add_account(&balance, &arena->account);
    lists = tally.lists | hs_load_relaxed(&arena->nonempty); /* relaxed: under the locks of all lists */
    for (unsigned k = 0; k < HS_LISTS; k++) {
        add_account(&balance, &arena->lists[k].account);
        if ((lists >> k & 1) != 0 || !is_empty(&arena->lists[k]))
            check_used_list(checker, arena, &arena->lists[k], &tally);
    }
    if (checker->mode == HEAPSTER_CHECK_AT_REST && tally.complete)
        check_rest(checker, arena, &tally, &balance);
    hs_arena_unlock_all(arena);
    if (hs_heap_has_own_large(arena))
        check_large_set(checker, arena->large);
    return true;
}

size_t hs_check_heap(enum heapster_check_mode mode, heapster_report *report, void *context)
{
    struct hs_checker checker = {.mode = mode, .report = report, .context = context};
    bool at_rest = mode == HEAPSTER_CHECK_AT_REST;

    hs_mutex_lock(hs_heap_lock());
    if (at_rest)
        hs_check_see_caches(&checker);
    hs_heap_for_each_arena_locked(check_arena, &checker);
    if (at_rest)
        hs_check_unsee_caches(&checker);
    hs_mutex_unlock(hs_heap_lock());
    check_large_set(&checker, &hs_heap_large);
    return checker.broken;
}

size_t heapster_check(enum heapster_check_mode mode, heapster_report *report, void *context)
{
    HS_VISIBLE_CALL;
    hs_heap_start();
    return hs_check_heap(mode, report, context);
}

/* ---- option check=N -------------------------------------------------------------------------------------------------
 */

struct first_broken {
    const char *invariant;
    const void *address;
    const char *text;
};

static void remember_first(const char *invariant, const void *address, const char *text, void *context)
{
    struct first_broken *first = context;

    if (first->invariant == NULL)
        *first = (struct first_broken){invariant, address, text};
}

void hs_check_sometimes(void)
{
    uint32_t every = hs_load_relaxed(&hs_options.check_every); /* relaxed: set at the start */
    struct first_broken first = {NULL, NULL, NULL};

    if (every == 0 || ++hs_thread()->slow_path_count < every)
        return;
    hs_thread()->slow_path_count = 0;
    if (hs_check_heap(HEAPSTER_CHECK_RUNNING, remember_first, &first) != 0)
        hs_report_misuse("broken heap", first.address, first.text, first.invariant);
}
