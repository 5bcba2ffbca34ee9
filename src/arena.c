#include "arena.h"

#include "arena_batch.h"
#include "arena_moves.h"
#include "options.h"
#include "os.h"

void hs_arena_init(struct hs_arena *arena, unsigned number, enum hs_region_kind source, uint8_t strategy)
{
    hs_mutex_init(&arena->lock, HS_RANK_ARENA);
    arena->number = number;
    arena->source = source;
    /* Relaxed: nobody else knows the arena yet. */
    hs_store_relaxed(&arena->strategy, strategy);
    hs_store_relaxed(&arena->cursor_list, HS_LISTS - 1);
    hs_store_relaxed(&arena->bounds.low, UINTPTR_MAX);
    hs_store_relaxed(&arena->bounds.high, 0);
    for (unsigned k = 0; k < HS_LISTS; k++) {
        hs_freelist_init(&arena->lists[k], k, number, &arena->bounds);
        arena->lists[k].strategy = strategy;
    }
}

/* ---- searching ---------------------------------------------------------------------------------------------- */

enum outcome { NOTHING_FITS, TAKEN, STRATEGY_CHANGED };

/* True where nothing of the block that was taken is to be published. */
static bool is_whole(const struct hs_pieces *pieces)
{
    return pieces->front == NULL && pieces->tail == NULL;
}

/* Takes what the list's strategy chooses, cut to the request. */
static bool take_one_locked(struct hs_arena *arena, struct hs_freelist *list, bool from_cursor,
                            const struct hs_request *request, struct hs_pieces *pieces) HS_REQUIRES(list->lock)
{
    struct hs_batch *batch = pieces->batch;
    struct hs_block *block = hs_freelist_find_locked(list, request->search_bytes, from_cursor);

    hs_arena_clear_bit_if_empty_locked(arena, list); /* the search abandons a damaged list */
    if (block == NULL)
        return false;
    if (list->strategy == HEAPSTER_NEXT_FIT) {
        list->cursor = (struct hs_free_block *)block;                /* taking it off moves the cursor behind it */
        hs_store_relaxed(&arena->cursor_list, (uint8_t)list->index); /* relaxed: a hint */
    }
    if (!hs_arena_take_off_locked(arena, list, block))
        return false;
    list->account.claimed++;
    *pieces = hs_arena_cut(arena, block, request, &list->account);
    pieces->batch = batch;
    pieces->claims = 1;
    if (is_whole(pieces))
        list->account.settled++;
    return true;
}

/* More of the same from the list, under the one lock, as long as they come whole: what has to be cut waits until the
 * cache asks again. */
static void fill_batch_locked(struct hs_arena *arena, struct hs_freelist *list, bool from_cursor,
                              const struct hs_request *request, const struct hs_pieces *first) HS_REQUIRES(list->lock)
{
    struct hs_batch *batch = first->batch;
    struct hs_request one = *request;
    struct hs_pieces pieces = {.batch = NULL};

    one.blocks = 1;
    hs_batch_add(batch, first->block, first->blocks);
    while (batch->count < batch->most) {
        struct hs_block *next = hs_freelist_find_locked(list, request->search_bytes, from_cursor);

        if (next == NULL || hs_block_bytes(next) - request->block_bytes >= HS_BLOCK_BYTES_LEAST)
            return;
        if (!take_one_locked(arena, list, from_cursor, &one, &pieces))
            return;
        batch->payloads[batch->count++] = hs_block_payload(pieces.block);
    }
}

/* Takes from list `index` what its strategy chooses, cut to the request. */
static enum outcome take_from(struct hs_arena *arena, unsigned index, uint8_t strategy, bool from_cursor,
                              const struct hs_request *request, struct hs_pieces *pieces)
{
    struct hs_freelist *list = &arena->lists[index];
    enum outcome outcome = NOTHING_FITS;

    hs_mutex_lock(&list->lock);
    if (list->strategy != strategy) {
        outcome = STRATEGY_CHANGED;
    } else if (take_one_locked(arena, list, from_cursor, request, pieces)) {
        outcome = TAKEN;
        if (pieces->batch != NULL && is_whole(pieces) && hs_block_state(pieces->block) != HS_STATE_RUN)
            fill_batch_locked(arena, list, from_cursor, request, pieces);
    }
    hs_mutex_unlock(&list->lock);
    return outcome;
}

/* The lists of `first` .. `last` that are not empty, as bits. Relaxed: see A1 in arena.h. */
static uint64_t nonempty_between(const struct hs_arena *arena, unsigned first, unsigned last)
{
    uint64_t from_first = ~(((uint64_t)1 << first) - 1);
    uint64_t to_last = ~UINT64_C(0) >> (63 - last);

    return hs_load_relaxed(&arena->nonempty) & from_first & to_last;
}

static enum outcome take_upward(struct hs_arena *arena, unsigned first, unsigned last, uint8_t strategy,
                                const struct hs_request *request, struct hs_pieces *pieces)
{
    while (first <= last) {
        uint64_t lists = nonempty_between(arena, first, last);
        enum outcome outcome;

        if (lists == 0)
            return NOTHING_FITS;
        first = (unsigned)__builtin_ctzll(lists);
        outcome = take_from(arena, first, strategy, false, request, pieces);
        if (outcome != NOTHING_FITS)
            return outcome;
        first++;
    }
    return NOTHING_FITS;
}

static enum outcome take_downward(struct hs_arena *arena, unsigned first, uint8_t strategy,
                                  const struct hs_request *request, struct hs_pieces *pieces)
{
    unsigned last = HS_LISTS - 1;

    for (;;) {
        uint64_t lists = nonempty_between(arena, first, last);
        enum outcome outcome;

        if (lists == 0)
            return NOTHING_FITS;
        last = 63 - (unsigned)__builtin_clzll(lists);
        outcome = take_from(arena, last, strategy, false, request, pieces);
        if (outcome != NOTHING_FITS || last == first)
            return outcome;
        last--;
    }
}

/* First fit from where the last search ended, around once: the rest of the cursor's list, the lists above it, those
 * below it, and the part of its own list before the cursor. */
static enum outcome take_around(struct hs_arena *arena, unsigned first, const struct hs_request *request,
                                struct hs_pieces *pieces)
{
    unsigned cursor_list = hs_load_relaxed(&arena->cursor_list); /* relaxed: a hint */
    enum outcome outcome;

    if (cursor_list < first)
        return take_upward(arena, first, HS_LISTS - 1, HEAPSTER_NEXT_FIT, request, pieces);
    outcome = take_from(arena, cursor_list, HEAPSTER_NEXT_FIT, true, request, pieces);
    if (outcome == NOTHING_FITS)
        outcome = take_upward(arena, cursor_list + 1, HS_LISTS - 1, HEAPSTER_NEXT_FIT, request, pieces);
    if (outcome == NOTHING_FITS && cursor_list > first)
        outcome = take_upward(arena, first, cursor_list - 1, HEAPSTER_NEXT_FIT, request, pieces);
    if (outcome == NOTHING_FITS)
        outcome = take_from(arena, cursor_list, HEAPSTER_NEXT_FIT, false, request, pieces);
    return outcome;
}

bool hs_arena_search(struct hs_arena *arena, const struct hs_request *request, struct hs_pieces *pieces)
{
    unsigned first = hs_freelist_index(request->search_bytes);
    enum outcome outcome;

    do {
        uint8_t strategy = hs_load_relaxed(&arena->strategy); /* relaxed: each list has a copy that decides */

        if (strategy == HEAPSTER_NEXT_FIT)
            outcome = take_around(arena, first, request, pieces);
        else if (strategy == HEAPSTER_WORST_FIT)
            outcome = take_downward(arena, first, strategy, request, pieces);
        else
            outcome = take_upward(arena, first, HS_LISTS - 1, strategy, request, pieces);
    } while (outcome == STRATEGY_CHANGED);
    return outcome == TAKEN;
}

/* ---- allocate and release ------------------------------------------------------------------------------------ */

void hs_arena_let_it_drain(struct hs_arena *arena)
{
    /* Relaxed: who misses the flag is waited for like everybody else. */
    if (HS_UNLIKELY(hs_load_relaxed(&arena->draining))) {
        hs_mutex_lock(&arena->lock);
        hs_mutex_unlock(&arena->lock);
    }
}

uint64_t hs_arena_claims_in_flight(const struct hs_arena *arena)
{
    struct hs_account sum = hs_arena_account(arena);

    return sum.claimed - sum.settled;
}

/* All lists, by who holds the arena's lock. In the order of locks the last one, the highest, stands for all: who held
 * another would not have come by the arena's. */
static void lock_lists(struct hs_arena *arena) HS_NO_ANALYSIS
{
    if (HS_UNLIKELY(hs_thread()->owns_every_lock))
        return;
    hs_mutex_assert_held(&arena->lock);
    hs_rank_push(&arena->lists[HS_LISTS - 1].lock);
    for (unsigned k = 0; k < HS_LISTS; k++)
        hs_mutex_lock_unranked(&arena->lists[k].lock);
}

static void unlock_lists(struct hs_arena *arena) HS_NO_ANALYSIS
{
    if (HS_UNLIKELY(hs_thread()->owns_every_lock))
        return;
    for (unsigned k = HS_LISTS; k > 0; k--)
        hs_mutex_unlock_unranked(&arena->lists[k - 1].lock);
    hs_rank_pop(&arena->lists[HS_LISTS - 1].lock);
}

/* Asks what a search asks, so that a search finds what this one found. */
static bool any_list_fits(struct hs_arena *arena, size_t block_bytes) HS_NO_ANALYSIS
{
    for (unsigned k = hs_freelist_index(block_bytes); k < HS_LISTS; k++)
        if (hs_freelist_find_locked(&arena->lists[k], block_bytes, false) != NULL)
            return true;
    return false;
}

/* Whether a list has what is asked for, and whether a claim is in flight; all lists stand still for it. */
static bool look_at_all_lists(struct hs_arena *arena, size_t block_bytes, bool *in_flight) HS_NO_ANALYSIS
{
    bool fits;

    lock_lists(arena);
    fits = any_list_fits(arena, block_bytes);
    *in_flight = hs_arena_claims_in_flight(arena) != 0;
    unlock_lists(arena);
    return fits;
}

/* A claim in flight hides a free block for a moment. Waits until none is, or until one of the lists has what is
 * asked for; true in the latter case. New operations stand aside meanwhile, so the wait ends. A forking thread waits
 * for nobody: the others stand still until it has forked. */
static bool wait_for_claims(struct hs_arena *arena, size_t block_bytes)
{
    bool fits, in_flight;

    hs_mutex_lock(&arena->lock);
    hs_store_relaxed(&arena->draining, true);
    while (!(fits = look_at_all_lists(arena, block_bytes, &in_flight)) && in_flight && !hs_thread()->owns_every_lock)
        hs_os_yield();
    hs_store_relaxed(&arena->draining, false);
    hs_mutex_unlock(&arena->lock);
    return fits;
}

static bool grow_or_search(struct hs_arena *arena, const struct hs_request *request, struct hs_pieces *pieces)
{
    bool found;

    hs_mutex_lock(&arena->lock);
    /* Whoever held the lock before may have grown the arena for both of us. */
    found = hs_arena_search(arena, request, pieces);
    if (!found) {
        *pieces = hs_arena_grow_locked(arena, request);
        found = pieces->block != NULL;
    }
    hs_mutex_unlock(&arena->lock);
    return found;
}

bool hs_arena_obtain(struct hs_arena *arena, const struct hs_request *request, struct hs_pieces *pieces)
{
    hs_arena_reclaim *reclaim;

    hs_arena_let_it_drain(arena);
    if (hs_arena_search(arena, request, pieces))
        return true;
    reclaim = hs_load_acquire(&arena->reclaim); /* [DEPOT] */
    if (reclaim != NULL)
        (void)reclaim(arena);
    while (!hs_arena_search(arena, request, pieces) && !grow_or_search(arena, request, pieces))
        if (!wait_for_claims(arena, request->search_bytes))
            return false;
    return true;
}

struct hs_block *hs_arena_allocate(struct hs_arena *arena, size_t block_bytes, size_t alignment)
{
    struct hs_request request = {
        .block_bytes = block_bytes, .alignment = alignment, .search_bytes = block_bytes, .state = HS_STATE_USED};
    struct hs_pieces pieces = {.batch = NULL};

    if (alignment > HS_ALIGNMENT)
        request.search_bytes += alignment + HS_ALIGNMENT;
    if (!hs_arena_obtain(arena, &request, &pieces))
        return NULL;
    hs_arena_publish_pieces(arena, &pieces);
    return pieces.block;
}

void hs_arena_note_dirty(struct hs_arena *arena)
{
    /* Relaxed: a purge too early or too late does no harm. */
    if (hs_load_relaxed(&arena->purge_due_ms) == 0)
        hs_store_relaxed(&arena->purge_due_ms, hs_os_now_ms() + hs_load_relaxed(&hs_options.decay_ms));
}

bool hs_arena_release(struct hs_arena *arena, struct hs_block *block)
{
    struct hs_settlement settlement = {.frees = 1, .freed_bytes = hs_block_bytes(block)};
    size_t published_bytes;

    hs_arena_let_it_drain(arena);
    hs_block_set_state(block, HS_STATE_FREEING);
    if (hs_arena_has_age(block))
        hs_arena_set_age(block, (struct hs_age){false, hs_os_now_ms()});
    (void)hs_arena_publish(arena, block, settlement, &published_bytes);
    if (published_bytes < HS_PURGE_BYTES_LEAST)
        return false;
    hs_arena_note_dirty(arena);
    return true;
}

/* ---- resize --------------------------------------------------------------------------------------------------- */

/* Gives back the end of the block. The boundary moves under the lock of the list that the end will go to. */
static void shrink(struct hs_arena *arena, struct hs_block *block, size_t block_bytes)
{
    size_t tail_bytes = hs_block_bytes(block) - block_bytes;
    struct hs_freelist *list = &arena->lists[hs_freelist_index(tail_bytes)];
    struct hs_pieces pieces = {.tail = hs_block_at(block, block_bytes), .claims = 1};

    hs_mutex_lock(&list->lock);
    hs_arena_make_block(arena, pieces.tail, tail_bytes);
    if (hs_arena_has_age(pieces.tail))
        hs_arena_set_age(pieces.tail, (struct hs_age){false, hs_os_now_ms()});
    hs_block_set_bytes(block, block_bytes, arena->number);
    list->account.claimed++;
    hs_account_free(&list->account, tail_bytes);
    list->account.splits++;
    hs_mutex_unlock(&list->lock);
    hs_arena_publish_pieces(arena, &pieces);
}

/* Takes the free block to the right in, where it is large enough, and gives back what is too much. */
static bool grow_in_place(struct hs_arena *arena, struct hs_block *block, size_t block_bytes)
{
    struct hs_block *right = hs_block_right(block);
    uint8_t hint = hs_block_state(right);
    struct hs_pieces pieces = {.claims = 1};
    struct hs_freelist *list;
    size_t old_bytes = hs_block_bytes(block), bytes;
    bool grown = false;

    if (!hs_state_is_free(hint) || hs_state_list(hint) >= HS_LISTS)
        return false;
    list = &arena->lists[hs_state_list(hint)];
    hs_mutex_lock(&list->lock);
    if (hs_block_state(right) == hint && hs_freelist_plausible(list, (struct hs_free_block *)right) &&
        old_bytes + hs_block_bytes(right) >= block_bytes && hs_arena_take_off_locked(arena, list, right)) {
        struct hs_age age = hs_arena_age(right);

        bytes = old_bytes + hs_block_bytes(right);
        hs_block_set_state(right, HS_STATE_DEAD);
        if (bytes - block_bytes >= HS_BLOCK_BYTES_LEAST) {
            pieces.tail = hs_block_at(block, block_bytes);
            hs_arena_make_block(arena, pieces.tail, bytes - block_bytes);
            hs_arena_set_age(pieces.tail, age);
            bytes = block_bytes;
            list->account.splits++;
        } else {
            list->account.settled++;
        }
        hs_block_set_bytes(block, bytes, arena->number);
        list->account.claimed++;
        list->account.coalesces++;
        hs_account_use(&list->account, bytes - old_bytes);
        grown = true;
    }
    hs_mutex_unlock(&list->lock);
    hs_arena_publish_pieces(arena, &pieces);
    return grown;
}

bool hs_arena_resize(struct hs_arena *arena, struct hs_block *block, size_t block_bytes)
{
    size_t old_bytes = hs_block_bytes(block);

    if (block_bytes > old_bytes) {
        hs_arena_let_it_drain(arena);
        return grow_in_place(arena, block, block_bytes);
    }
    if (old_bytes - block_bytes >= HS_BLOCK_BYTES_LEAST) {
        hs_arena_let_it_drain(arena);
        shrink(arena, block, block_bytes);
    }
    return true;
}

/* ---- the whole arena ------------------------------------------------------------------------------------------ */

void hs_arena_destroy_locks(struct hs_arena *arena)
{
    hs_mutex_destroy(&arena->lock);
    for (unsigned k = 0; k < HS_LISTS; k++)
        hs_mutex_destroy(&arena->lists[k].lock);
}

void hs_arena_lock_all(struct hs_arena *arena) HS_NO_ANALYSIS
{
    hs_mutex_lock(&arena->lock);
    lock_lists(arena);
}

void hs_arena_unlock_all(struct hs_arena *arena) HS_NO_ANALYSIS
{
    unlock_lists(arena);
    hs_mutex_unlock(&arena->lock);
}

void hs_arena_set_strategy(struct hs_arena *arena, uint8_t strategy) HS_NO_ANALYSIS
{
    hs_arena_lock_all(arena);
    hs_store_relaxed(&arena->strategy, strategy);
    hs_store_relaxed(&arena->cursor_list, HS_LISTS - 1); /* with every cursor past its end: begins at the first list */
    for (unsigned k = 0; k < HS_LISTS; k++) {
        hs_freelist_set_strategy_locked(&arena->lists[k], strategy);
        hs_arena_clear_bit_if_empty_locked(arena, &arena->lists[k]);
    }
    hs_arena_unlock_all(arena);
}

static void add_account(struct hs_account *sum, const struct hs_account *share)
{
    sum->allocations += share->allocations;
    sum->frees += share->frees;
    sum->claimed += share->claimed;
    sum->settled += share->settled;
    sum->splits += share->splits;
    sum->coalesces += share->coalesces;
    sum->retreats += share->retreats;
}

struct hs_account hs_arena_account(const struct hs_arena *arena) HS_NO_ANALYSIS
{
    struct hs_account sum = arena->account;
    uint64_t used_bytes = hs_load_relaxed(&sum.used_bytes);

    for (unsigned k = 0; k < HS_LISTS; k++) {
        add_account(&sum, &arena->lists[k].account);
        used_bytes = hs_wrap_add(used_bytes, hs_load_relaxed(&arena->lists[k].account.used_bytes));
    }
    hs_store_relaxed(&sum.used_bytes, used_bytes);
    return sum;
}

size_t hs_arena_region_bytes(struct hs_arena *arena, bool *is_mostly_free)
{
    uint64_t used_bytes;
    size_t bytes;

    hs_mutex_lock(&arena->lock);
    bytes = arena->region_bytes;
    hs_mutex_unlock(&arena->lock);
    /* Relaxed, and not all at one moment: a hint. */
    used_bytes = hs_load_relaxed(&arena->account.used_bytes);
    for (unsigned k = 0; k < HS_LISTS; k++)
        used_bytes = hs_wrap_add(used_bytes, hs_load_relaxed(&arena->lists[k].account.used_bytes));
    *is_mostly_free = used_bytes < bytes / 2;
    return bytes;
}

/* What vanished threads owned: blocks in flight, and in their caches (those of the caller's are SEEN). */
static bool is_orphan(uint8_t state)
{
    return state == HS_STATE_BUSY || state == HS_STATE_FREEING || state == HS_STATE_CACHED || state == HS_STATE_SENT ||
           state == HS_STATE_RUN;
}

/* Publishes every orphan. Nobody else runs. A tag that a program has overwritten ends the walk: where the next one
 * stands is not to be believed. */
static void sweep_region(struct hs_arena *arena, struct hs_region *region)
{
    struct hs_block *block = hs_region_first_block(region), *end = hs_region_end_tag(region);

    while (block < end && hs_block_is_intact(block)) {
        size_t bytes = hs_block_tile_bytes(block);

        if (is_orphan(hs_block_state(block))) {
            struct hs_settlement nothing = {0};

            hs_block_set_bytes(block, bytes, arena->number);
            hs_block_set_state(block, HS_STATE_FREEING);
            block = hs_arena_publish(arena, block, nothing, &bytes);
        }
        block = hs_block_at(block, bytes);
    }
}

/* Field by field, since one of them is an atomic. */
static void set_account(struct hs_account *account, const struct hs_account *counts, uint64_t used_bytes)
{
    account->allocations = counts->allocations;
    account->frees = counts->frees;
    account->claimed = counts->claimed;
    account->settled = counts->settled;
    account->splits = counts->splits;
    account->coalesces = counts->coalesces;
    account->retreats = counts->retreats;
    hs_store_relaxed(&account->used_bytes, used_bytes); /* relaxed: nobody else runs */
}

static void recount(struct hs_arena *arena) HS_NO_ANALYSIS
{
    struct hs_account sum = hs_arena_account(arena);
    const struct hs_account nothing = {0};
    uint64_t used_blocks = 0, used_bytes = 0;

    for (struct hs_region *region = arena->regions; region != NULL; region = region->next) {
        struct hs_block *end = hs_region_end_tag(region);

        for (struct hs_block *block = hs_region_first_block(region); block < end && hs_block_is_intact(block);
             block = hs_block_right(block)) {
            uint8_t state = hs_block_state(block);

            if (state == HS_STATE_USED || state == HS_STATE_SEEN) {
                used_blocks++;
                used_bytes += hs_block_bytes(block);
            }
        }
    }
    for (unsigned k = 0; k < HS_LISTS; k++)
        set_account(&arena->lists[k].account, &nothing, 0);
    sum.settled = sum.claimed;
    sum.frees = sum.allocations - used_blocks;
    set_account(&arena->account, &sum, used_bytes);
}

void hs_arena_sweep_in_child(struct hs_arena *arena) HS_NO_ANALYSIS
{
    for (struct hs_region *region = arena->regions; region != NULL; region = region->next)
        sweep_region(arena, region);
    recount(arena);
}
