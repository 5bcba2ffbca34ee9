#include "arena_batch.h"

#include "arena_moves.h"
#include "os.h"

/* ---- take -------------------------------------------------------------------------------------------------------- */

bool hs_arena_take_batch(struct hs_arena *arena, size_t block_bytes, size_t run_bytes, struct hs_batch *batch)
{
    const struct hs_request request = {.block_bytes = block_bytes,
                                       .alignment = HS_ALIGNMENT,
                                       .search_bytes = block_bytes,
                                       .run_bytes = run_bytes,
                                       .blocks = run_bytes == 0 ? batch->most : 1,
                                       .state = HS_STATE_CACHED};
    struct hs_pieces pieces = {.batch = batch};

    batch->count = 0;
    batch->run = NULL;
    if (!hs_arena_obtain(arena, &request, &pieces))
        return false;
    hs_arena_publish_pieces(arena, &pieces);
    if (hs_block_state(pieces.block) == HS_STATE_RUN)
        batch->run = pieces.block;
    else if (batch->count == 0)
        hs_batch_add(batch, pieces.block, pieces.blocks);
    return true;
}

void hs_arena_end_run(struct hs_arena *arena, struct hs_block *run, size_t uncut_bytes)
{
    struct hs_freelist *list = &arena->lists[hs_freelist_index(uncut_bytes)];

    hs_mutex_lock(&list->lock);
    hs_block_set_bytes(run, uncut_bytes, arena->number);
    hs_block_set_state(run, HS_STATE_CACHED);
    hs_mutex_unlock(&list->lock);
}

void hs_arena_count_cuts(struct hs_arena *arena, uint64_t cuts)
{
    hs_mutex_lock(&arena->lock);
    arena->account.allocations += cuts;
    hs_mutex_unlock(&arena->lock);
}

/* ---- give back --------------------------------------------------------------------------------------------------- */

/* Blocks of the batch that were neighbours, on their way back. */
struct piece {
    struct hs_block *block;
    struct hs_settlement settlement;
    uint8_t list;
};

static bool is_sorted(void *const *payloads, unsigned count)
{
    for (unsigned i = 1; i < count; i++)
        if ((uintptr_t)payloads[i - 1] > (uintptr_t)payloads[i])
            return false;
    return true;
}

/* Shell's sort; blocks come back in nearly the order, or the reverse order, that they were cut in. */
static void sort_by_address(void **payloads, unsigned count)
{
    static const unsigned gaps[] = {23, 10, 4, 1};

    if (is_sorted(payloads, count))
        return;
    for (unsigned g = 0; g < sizeof gaps / sizeof gaps[0]; g++) {
        for (unsigned i = gaps[g]; i < count; i++) {
            void *payload = payloads[i];
            unsigned j = i;

            for (; j >= gaps[g] && (uintptr_t)payloads[j - gaps[g]] > (uintptr_t)payload; j -= gaps[g])
                payloads[j] = payloads[j - gaps[g]];
            payloads[j] = payload;
        }
    }
}

/* Sorts out which blocks are neighbours of each other. */
static unsigned find_pieces(void **payloads, unsigned count, struct piece *pieces)
{
    struct piece *piece = pieces;

    *piece = (struct piece){.block = hs_block_of(payloads[0])};
    for (unsigned i = 0; i < count; i++) {
        struct hs_block *block = hs_block_of(payloads[i]);

        if (hs_block_at(piece->block, piece->settlement.freed_bytes) != block)
            *++piece = (struct piece){.block = block};
        piece->settlement.frees++;
        piece->settlement.freed_bytes += hs_block_bytes(block);
    }
    return (unsigned)(piece - pieces) + 1;
}

/* The tags of all blocks but the first of each piece. The first one's is looked at by the owner of its left neighbour
 * at any moment, and is never DEAD. */
static void bury_swallowed(void **payloads, unsigned count, const struct piece *pieces, unsigned piece_count)
{
    for (unsigned i = 0, piece = 0; i < count; i++) {
        struct hs_block *block = hs_block_of(payloads[i]);

        if (piece < piece_count && block == pieces[piece].block)
            piece++;
        else
            hs_block_set_state(block, HS_STATE_DEAD);
    }
}

/* The blocks become pieces, FREEING: nothing is claimed for them yet. */
static unsigned join_neighbours(struct hs_arena *arena, void **payloads, unsigned count, struct piece *pieces)
{
    unsigned piece_count = find_pieces(payloads, count, pieces);
    struct hs_freelist *list = &arena->lists[hs_freelist_index(hs_block_bytes(pieces[0].block))];

    if (piece_count < count) {
        hs_mutex_lock(&list->lock);
        bury_swallowed(payloads, count, pieces, piece_count);
        for (unsigned i = 0; i < piece_count; i++) {
            hs_block_set_bytes(pieces[i].block, pieces[i].settlement.freed_bytes, arena->number);
            hs_block_set_state(pieces[i].block, HS_STATE_FREEING);
        }
        hs_mutex_unlock(&list->lock);
    } else {
        for (unsigned i = 0; i < piece_count; i++)
            hs_block_set_state(pieces[i].block, HS_STATE_FREEING);
    }
    return piece_count;
}

/* Publishes, under one lock, all pieces that go to the list, and settles for them. Those that meet a neighbour of
 * another thread's that was published at the same moment are left in hand, with their claims. */
static void publish_to_list(struct hs_arena *arena, unsigned index, struct piece *pieces, unsigned count)
{
    struct hs_freelist *list = &arena->lists[index];
    uint8_t placed_state = (uint8_t)(HS_STATE_FREE + index);

    hs_mutex_lock(&list->lock);
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].list != index)
            continue;
        hs_arena_place_locked(arena, list, pieces[i].block);
        list->account.settled += pieces[i].settlement.claims;
        list->account.frees += pieces[i].settlement.frees;
        hs_account_use(&list->account, (uint64_t)0 - pieces[i].settlement.freed_bytes);
        pieces[i].settlement = (struct hs_settlement){0};
    }
    /* [PUBLISH] As in hs_arena_publish: once for all that were placed. */
    hs_fence_seq_cst();
    for (unsigned i = 0; i < count; i++) {
        /* Another state: a piece of this batch has just taken it in. */
        if (pieces[i].list != index || hs_block_state(pieces[i].block) != placed_state)
            continue;
        (void)hs_arena_stays_locked(arena, list, &pieces[i].block, &pieces[i].settlement.claims);
    }
    hs_mutex_unlock(&list->lock);
}

/* Claims what is free beside each piece. Where that reaches to the next one, the two become one: published apart, they
 * would only meet. Returns how many are left. */
static unsigned claim_beside(struct hs_arena *arena, struct piece *pieces, unsigned count)
{
    struct hs_freelist *held = NULL;
    unsigned left = 0;

    for (unsigned i = 0; i < count; left++) {
        struct piece piece = pieces[i++];

        piece.block = hs_arena_claim_neighbours(arena, piece.block, &piece.settlement.claims, &held);
        while (i < count && hs_block_right(piece.block) == pieces[i].block) {
            /* A claim to the right led here, so its lock is held; and nobody else has a block that ends here. */
            hs_arena_merge(arena, piece.block, pieces[i].block);
            piece.settlement.frees += pieces[i].settlement.frees;
            piece.settlement.freed_bytes += pieces[i++].settlement.freed_bytes;
            piece.block = hs_arena_claim_neighbours(arena, piece.block, &piece.settlement.claims, &held);
        }
        pieces[left] = piece;
    }
    hs_arena_let_go(&held);
    return left;
}

bool hs_arena_give_batch(struct hs_arena *arena, void **payloads, unsigned count)
{
    struct piece pieces[HS_BATCH_BLOCKS_MOST];
    uint64_t lists = 0;
    bool is_dirty = false;

    if (count == 0)
        return false;
    hs_arena_let_it_drain(arena);
    sort_by_address(payloads, count);
    count = join_neighbours(arena, payloads, count, pieces);
    for (unsigned i = 0; i < count; i++)
        if (hs_arena_has_age(pieces[i].block))
            hs_arena_set_age(pieces[i].block, (struct hs_age){false, hs_os_now_ms()});
    count = claim_beside(arena, pieces, count);
    for (unsigned i = 0; i < count; i++) {
        struct piece *piece = &pieces[i];

        is_dirty |= hs_block_bytes(piece->block) >= HS_PURGE_BYTES_LEAST;
        piece->list = (uint8_t)hs_freelist_index(hs_block_bytes(piece->block));
        lists |= UINT64_C(1) << piece->list;
    }
    for (; lists != 0; lists &= lists - 1)
        publish_to_list(arena, (unsigned)__builtin_ctzll(lists), pieces, count);
    for (unsigned i = 0; i < count; i++)
        if (pieces[i].settlement.claims != 0)
            hs_arena_publish_block(arena, pieces[i].block, pieces[i].settlement.claims);
    if (is_dirty)
        hs_arena_note_dirty(arena);
    return is_dirty;
}
