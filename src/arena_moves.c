#include "arena_moves.h"

#include "os.h"

void hs_arena_make_block(struct hs_arena *arena, struct hs_block *block, size_t block_bytes)
{
    hs_block_set_bytes(block, block_bytes, arena->number);
    hs_block_set_state(block, HS_STATE_BUSY);
    hs_block_set_left(block, 0);
}

struct hs_age hs_arena_age(const struct hs_block *block)
{
    const struct hs_free_block *node = (const struct hs_free_block *)block;

    if (!hs_arena_has_age(block))
        return (struct hs_age){false, hs_os_now_ms()};
    return (struct hs_age){node->purged != 0, node->dirty_since_ms};
}

void hs_arena_set_age(struct hs_block *block, struct hs_age age)
{
    struct hs_free_block *node = (struct hs_free_block *)block;

    if (!hs_arena_has_age(block))
        return;
    node->purged = age.purged;
    node->dirty_since_ms = age.dirty_since_ms;
}

/* The age of two blocks that become one: that of the older one, so that nothing dirty waits longer than it has to. */
static struct hs_age age_of_both(struct hs_age one, struct hs_age other)
{
    if (one.purged || (!other.purged && other.dirty_since_ms < one.dirty_since_ms))
        return other;
    return one;
}

void hs_arena_merge(struct hs_arena *arena, struct hs_block *left, struct hs_block *right)
{
    size_t bytes = hs_block_bytes(left) + hs_block_bytes(right);
    struct hs_age age = {false, 0};

    if (bytes >= HS_PURGE_BYTES_LEAST)
        age = age_of_both(hs_arena_age(left), hs_arena_age(right));
    hs_block_set_bytes(left, bytes, arena->number);
    hs_arena_set_age(left, age);
    hs_block_set_state(left, HS_STATE_BUSY);
    hs_block_set_state(right, HS_STATE_DEAD);
}

void hs_arena_clear_bit_if_empty_locked(struct hs_arena *arena, struct hs_freelist *list)
{
    hs_mutex_assert_held(&list->lock);
    if (list->head == NULL)
        (void)hs_and_relaxed(&arena->nonempty, ~(UINT64_C(1) << list->index)); /* relaxed: a hint, A1 */
}

bool hs_arena_take_off_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_block *block)
{
    bool sound;

    hs_mutex_assert_held(&list->lock);
    sound = hs_freelist_unlink_locked(list, block);
    hs_arena_clear_bit_if_empty_locked(arena, list);
    if (!sound) {
        hs_block_set_state(block, HS_STATE_USED);
        return false;
    }
    hs_block_set_state(block, HS_STATE_BUSY);
    hs_block_set_left(hs_block_right(block), 0);
    return true;
}

/* The list that a byte of a tag names, or NULL where the byte was overwritten; that is noted for the caller. */
static struct hs_freelist *list_named(struct hs_arena *arena, unsigned index, struct hs_block *block)
{
    if (index < HS_LISTS)
        return &arena->lists[index];
    hs_freelist_note_damage(hs_block_payload(block));
    return NULL;
}

/* Takes the left neighbour of `block` off `list`, whose lock is held and which `left` of the block names. NULL where
 * it is damaged; the block then has no free left neighbour any more. */
static struct hs_block *take_left_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_block *block)
    HS_REQUIRES(list->lock)
{
    struct hs_block *left = hs_block_left_of(block);

    hs_mutex_assert_held(&list->lock);
    if (!hs_freelist_plausible(list, (struct hs_free_block *)left) || hs_block_right(left) != block) {
        hs_freelist_note_damage(hs_block_payload(block));
        hs_block_set_left(block, 0);
        return NULL;
    }
    if (!hs_arena_take_off_locked(arena, list, left)) {
        hs_block_set_left(block, 0);
        return NULL;
    }
    list->account.claimed++;
    list->account.coalesces++;
    return left;
}

/* The same to the right: `right` says that it is FREE on `list`. */
static bool take_right_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_block *right)
    HS_REQUIRES(list->lock)
{
    hs_mutex_assert_held(&list->lock);
    if (!hs_freelist_plausible(list, (struct hs_free_block *)right)) {
        hs_freelist_note_damage(hs_block_payload(right));
        hs_block_set_state(right, HS_STATE_USED);
        return false;
    }
    if (!hs_arena_take_off_locked(arena, list, right))
        return false;
    list->account.claimed++;
    list->account.coalesces++;
    return true;
}

void hs_arena_let_go(struct hs_freelist **held) HS_NO_ANALYSIS
{
    if (*held != NULL)
        hs_mutex_unlock(&(*held)->lock);
    *held = NULL;
}

/* Locks the list instead of the one that is held, unless they are the same. */
static void hold(struct hs_freelist **held, struct hs_freelist *list) HS_NO_ANALYSIS
{
    if (*held == list)
        return;
    hs_arena_let_go(held);
    hs_mutex_lock(&list->lock);
    *held = list;
}

static struct hs_block *claim_left(struct hs_arena *arena, struct hs_block *block, uint64_t *claims,
                                   struct hs_freelist **held) HS_NO_ANALYSIS
{
    uint8_t hint;

    while ((hint = hs_block_left(block)) != 0) {
        struct hs_freelist *list = list_named(arena, hint - 1U, block);
        struct hs_block *left;

        if (list == NULL) {
            hs_block_set_left(block, 0);
            return block;
        }
        hold(held, list);
        if (hs_block_left(block) == hint) {
            left = take_left_locked(arena, list, block);
            if (left != NULL) {
                hs_arena_merge(arena, left, block);
                block = left;
                ++*claims;
            }
        }
    }
    return block;
}

/* What may stand right of a block that is ours: another block, or the end. */
static bool is_neighbour_state(uint8_t state)
{
    return hs_state_is_free(state) || state == HS_STATE_USED || state == HS_STATE_FREEING || state == HS_STATE_BUSY ||
           state == HS_STATE_END || state == HS_STATE_CACHED || state == HS_STATE_RUN || state == HS_STATE_SENT ||
           state == HS_STATE_SEEN;
}

static struct hs_block *claim_right(struct hs_arena *arena, struct hs_block *block, uint64_t *claims,
                                    struct hs_freelist **held) HS_NO_ANALYSIS
{
    for (;;) {
        struct hs_block *right = hs_block_right(block);
        uint8_t hint = hs_block_state(right);
        struct hs_freelist *list;

        if (!is_neighbour_state(hint))
            hs_freelist_note_damage(hs_block_payload(right));
        if (!hs_state_is_free(hint))
            return block;
        list = list_named(arena, hs_state_list(hint), right);
        if (list == NULL)
            return block;
        hold(held, list);
        if (hs_block_state(right) == hint && take_right_locked(arena, list, right)) {
            hs_arena_merge(arena, block, right);
            ++*claims;
        }
    }
}

struct hs_block *hs_arena_claim_neighbours(struct hs_arena *arena, struct hs_block *block, uint64_t *claims,
                                           struct hs_freelist **held)
{
    return claim_right(arena, claim_left(arena, block, claims, held), claims, held);
}

struct hs_block *hs_arena_claim_left(struct hs_arena *arena, struct hs_block *block, uint64_t *claims)
{
    struct hs_freelist *held = NULL;

    block = claim_left(arena, block, claims, &held);
    hs_arena_let_go(&held);
    return block;
}

void hs_arena_place_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_block *block)
{
    struct hs_block *right = hs_block_right(block);
    bool was_empty = list->head == NULL;

    hs_mutex_assert_held(&list->lock);
    *hs_block_footer_before(right) = hs_block_bytes(block);
    if (list->index >= HS_EXACT_LISTS && !hs_arena_has_age(block))
        ((struct hs_free_block *)block)->purged = 0;
    hs_block_set_state(block, (uint8_t)(HS_STATE_FREE + list->index));
    hs_block_set_left(right, (uint8_t)(1 + list->index));
    hs_freelist_link_locked(list, block);
    if (was_empty)
        (void)hs_or_relaxed(&arena->nonempty, UINT64_C(1) << list->index); /* relaxed: a hint, A1 */
}

/* Takes back what hs_arena_place_locked did: claims the block it published. */
static void withdraw_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_block *block, uint64_t *claims)
    HS_REQUIRES(list->lock)
{
    hs_mutex_assert_held(&list->lock);
    (void)hs_arena_take_off_locked(arena, list, block);
    list->account.claimed++;
    ++*claims;
    /* Also where the list was damaged: the block is ours while we hold the lock. */
    hs_block_set_state(block, HS_STATE_BUSY);
    hs_block_set_left(hs_block_right(block), 0);
}

/* Block `block`, FREE on `list`, meets its free left neighbour on `other`; both locks are held, or are the same one. */
static struct hs_block *merge_left_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_freelist *other,
                                          struct hs_block *block, uint64_t *claims) HS_REQUIRES(list->lock, other->lock)
{
    struct hs_block *left;

    withdraw_locked(arena, list, block, claims);
    left = take_left_locked(arena, other, block);
    if (left == NULL)
        return block;
    hs_arena_merge(arena, left, block);
    ++*claims;
    return left;
}

static struct hs_block *merge_right_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_freelist *other,
                                           struct hs_block *block, uint64_t *claims)
    HS_REQUIRES(list->lock, other->lock)
{
    struct hs_block *right = hs_block_right(block);

    withdraw_locked(arena, list, block, claims);
    if (take_right_locked(arena, other, right)) {
        hs_arena_merge(arena, block, right);
        ++*claims;
    }
    return block;
}

bool hs_arena_stays_locked(struct hs_arena *arena, struct hs_freelist *list, struct hs_block **block, uint64_t *claims)
    HS_NO_ANALYSIS
{
    for (;;) {
        struct hs_block *right = hs_block_right(*block);
        uint8_t left_hint = hs_block_left(*block);
        uint8_t right_hint = hs_block_state(right);
        bool to_left = left_hint != 0;
        unsigned index = to_left ? left_hint - 1U : hs_state_list(right_hint);
        struct hs_freelist *other;
        bool met = true;

        if (!to_left && !hs_state_is_free(right_hint))
            return true;
        other = list_named(arena, index, to_left ? *block : right);
        if (other == NULL)
            return true;
        if (index < list->index) {
            withdraw_locked(arena, list, *block, claims);
            list->account.retreats++;
            return false;
        }
        if (index > list->index) {
            hs_mutex_lock(&other->lock);
            met = to_left ? hs_block_left(*block) == left_hint : hs_block_state(right) == right_hint;
        }
        if (met)
            *block = to_left ? merge_left_locked(arena, list, other, *block, claims)
                             : merge_right_locked(arena, list, other, *block, claims);
        if (index > list->index)
            hs_mutex_unlock(&other->lock);
        if (met)
            return false;
    }
}

struct hs_block *hs_arena_publish(struct hs_arena *arena, struct hs_block *block, struct hs_settlement settlement,
                                  size_t *block_bytes)
{
    bool stays = false;

    while (!stays) {
        struct hs_freelist *list, *held = NULL;

        block = hs_arena_claim_neighbours(arena, block, &settlement.claims, &held);
        hs_arena_let_go(&held);
        *block_bytes = hs_block_bytes(block);
        list = &arena->lists[hs_freelist_index(*block_bytes)];
        hs_mutex_lock(&list->lock);
        if (!hs_state_is_in_hand(hs_block_state(block))) {
            /* Somebody else has just freed the same block: it is theirs. */
            hs_freelist_note_damage(hs_block_payload(block));
            list->account.settled += settlement.claims;
            hs_mutex_unlock(&list->lock);
            return block;
        }
        hs_arena_place_locked(arena, list, block);
        /* [PUBLISH] Our stores (state, right neighbour's left) before our loads (left, right neighbour's state). Of two
         * neighbours published at once at least one then sees the other. Release and acquire do not refuse this: both
         * threads store, both load the old value out of turn, both go, and two free neighbours stay apart for good. */
        hs_fence_seq_cst();
        stays = hs_arena_stays_locked(arena, list, &block, &settlement.claims);
        if (stays) {
            list->account.settled += settlement.claims;
            list->account.frees += settlement.frees;
            hs_account_use(&list->account, (uint64_t)0 - settlement.freed_bytes);
        }
        hs_mutex_unlock(&list->lock);
    }
    return block;
}

void hs_arena_publish_block(struct hs_arena *arena, struct hs_block *block, uint64_t claims)
{
    struct hs_settlement settlement = {.claims = claims};
    size_t bytes;

    (void)hs_arena_publish(arena, block, settlement, &bytes);
}

void hs_arena_publish_pieces(struct hs_arena *arena, const struct hs_pieces *pieces)
{
    if (pieces->front != NULL)
        hs_arena_publish_block(arena, pieces->front, pieces->tail != NULL ? 0 : pieces->claims);
    if (pieces->tail != NULL)
        hs_arena_publish_block(arena, pieces->tail, pieces->claims);
}

/* How many blocks of a free one of `bytes` a request that asks for no run takes. */
static unsigned blocks_taken(const struct hs_request *request, size_t bytes)
{
    size_t blocks;

    if (request->blocks <= 1)
        return 1;
    blocks = bytes / request->block_bytes;
    return blocks < request->blocks ? (unsigned)blocks : request->blocks;
}

/* How much of a block of `bytes` a request takes. What would be too short to be a block of its own goes with it. */
static size_t bytes_taken(const struct hs_request *request, size_t bytes, bool is_run)
{
    size_t wanted = request->block_bytes;

    if (is_run)
        wanted = request->run_bytes < bytes ? request->run_bytes : bytes;
    else
        wanted *= blocks_taken(request, bytes);
    return bytes - wanted >= HS_BLOCK_BYTES_LEAST ? wanted : bytes;
}

/* How far into the block's payload an aligned one begins, leaving room for a block before it if not at once. */
static size_t alignment_gap(struct hs_block *block, size_t alignment)
{
    uintptr_t payload = (uintptr_t)hs_block_payload(block);
    size_t gap = (size_t)(-payload & (alignment - 1));

    if (gap != 0 && gap < HS_BLOCK_BYTES_LEAST)
        gap += alignment;
    return gap;
}

/* Cuts what was taken into the blocks that were asked for. What is too short to be cut off stays with the last one. */
static void cut_side_by_side(struct hs_arena *arena, struct hs_block *block, const struct hs_request *request,
                             unsigned blocks)
{
    size_t bytes = hs_block_bytes(block);

    for (unsigned i = blocks - 1; i > 0; i--) {
        struct hs_block *next = hs_block_at(block, i * request->block_bytes);

        hs_arena_make_block(arena, next, bytes - i * request->block_bytes);
        hs_block_set_state(next, request->state);
        bytes = i * request->block_bytes;
    }
    hs_block_set_bytes(block, bytes, arena->number);
}

struct hs_pieces hs_arena_cut(struct hs_arena *arena, struct hs_block *block, const struct hs_request *request,
                              struct hs_account *account)
{
    struct hs_pieces pieces = {.block = block, .blocks = 1};
    size_t bytes = hs_block_bytes(block), taken_bytes;
    bool is_run = request->run_bytes >= 2 * request->block_bytes && bytes >= 2 * request->block_bytes;
    size_t gap = alignment_gap(block, request->alignment);
    struct hs_age age = {false, 0};

    if (hs_arena_has_age(block))
        age = hs_arena_age(block);

    if (gap != 0) {
        pieces.front = block;
        pieces.block = hs_block_at(block, gap);
        bytes -= gap;
        hs_arena_make_block(arena, pieces.block, bytes);
        hs_block_set_bytes(block, gap, arena->number);
        account->splits++;
    }
    taken_bytes = bytes_taken(request, bytes, is_run);
    if (taken_bytes < bytes) {
        pieces.tail = hs_block_at(pieces.block, taken_bytes);
        hs_arena_make_block(arena, pieces.tail, bytes - taken_bytes);
        hs_arena_set_age(pieces.tail, age);
        hs_block_set_bytes(pieces.block, taken_bytes, arena->number);
        account->splits++;
    }
    pieces.blocks = is_run ? 1 : blocks_taken(request, taken_bytes);
    if (pieces.blocks > 1) {
        cut_side_by_side(arena, pieces.block, request, pieces.blocks);
        account->splits += pieces.blocks - 1;
    }
    if (is_run)
        hs_run_begin(pieces.block);
    else
        hs_block_set_state(pieces.block, request->state);
    account->allocations += pieces.blocks;
    hs_account_use(account, taken_bytes);
    return pieces;
}
