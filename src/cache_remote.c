#include "cache_parts.h"

#include "os.h"

/* An outbox is pushed when it holds so much. */
#define OUTBOX_BYTES_MOST ((size_t)16 * 1024)
enum { OUTBOX_BLOCKS_MOST = 64 };

/* So many blocks are put into a depot at a time. */
enum { DELIVERED_BLOCKS = 256 };

/* The first two words of a block in a chain: the link, and the hint beside it. Not as they are: what a program writes
 * to memory it has freed, zero before all, is then no link. Relaxed throughout: [INBOX] hands the chain over. */
enum word { LINK, HINT };

static void set_word(void *payload, enum word word, const void *other)
{
    hs_store_relaxed((_Atomic uintptr_t *)payload + word, (uintptr_t)other ^ (uintptr_t)hs_block_key);
}

static void *word_of(void *payload, enum word word)
{
    return (void *)(hs_load_relaxed((_Atomic uintptr_t *)payload + word) ^ (uintptr_t)hs_block_key);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

void *hs_cache_take_inbox(struct hs_arena *arena)
{
    return hs_exchange_acquire(&arena->inbox, NULL); /* [INBOX] the links of the chain, and its blocks' states */
}

static void deliver(struct hs_arena *arena, void *newest);

static void push_outbox(struct hs_outbox *box)
{
    struct hs_arena *arena = box->arena;
    uint64_t bytes = hs_load_relaxed(&box->bytes); /* relaxed: the thread's own */
    void *head = hs_load_relaxed(&arena->inbox);   /* relaxed: compared below */

    do
        set_word(box->oldest, LINK, head);
    while (!hs_compare_exchange_release(&arena->inbox, &head, box->newest)); /* [INBOX] the links of the chain */
    /* Relaxed: a bound, and statistics; they may lag behind what they count. */
    (void)hs_add_relaxed(&arena->inbox_blocks, hs_load_relaxed(&box->blocks));
    (void)hs_add_relaxed(&arena->sent_blocks, hs_load_relaxed(&box->blocks));
    (void)hs_add_relaxed(&arena->sent_batches, 1);
    bytes = hs_wrap_add(bytes, hs_add_relaxed(&arena->inbox_bytes, bytes));
    hs_store_relaxed(&box->blocks, 0);
    hs_store_relaxed(&box->bytes, 0);
    box->newest = box->oldest = NULL;
    if (bytes > HS_INBOX_BYTES_MOST && bytes < (uint64_t)INT64_MAX)
        deliver(arena, hs_cache_take_inbox(arena));
}

/* Into the outbox of that arena; true where that was full, and went to the inbox. */
static bool post(struct hs_cache *cache, struct hs_arena *arena, void *payload)
{
    struct hs_outbox *box = &cache->outboxes[arena->number % HS_OUTBOXES];
    uint64_t blocks, bytes;

    if (box->arena != arena && box->newest != NULL)
        push_outbox(box);
    box->arena = arena;
    hs_block_set_state(hs_block_of(payload), HS_STATE_SENT);
    /* Relaxed: the thread's own; others read them for statistics. */
    blocks = hs_load_relaxed(&box->blocks);
    set_word(payload, LINK, box->newest);
    set_word(payload, HINT, blocks >= HS_CHAIN_AHEAD ? box->recent[blocks % HS_CHAIN_AHEAD] : payload);
    box->recent[blocks % HS_CHAIN_AHEAD] = payload;
    box->newest = payload;
    if (box->oldest == NULL)
        box->oldest = payload;
    blocks++;
    bytes = hs_load_relaxed(&box->bytes) + hs_block_bytes(hs_block_of(payload));
    hs_store_relaxed(&box->blocks, blocks);
    hs_store_relaxed(&box->bytes, bytes);
    if (blocks < OUTBOX_BLOCKS_MOST && bytes < OUTBOX_BYTES_MOST)
        return false;
    push_outbox(box);
    return true;
}

void hs_cache_send(struct hs_cache *cache, struct hs_arena *arena, void *payload)
{
    if (post(cache, arena, payload))
        hs_cache_look_for_unused(cache);
}

/* A block that waited, and may have been overwritten meanwhile: then it is lost, and reported. */
static bool post_unsent(struct hs_cache *cache, void *payload)
{
    struct hs_block *block = hs_block_of(payload);
    struct hs_arena *arena = hs_heap_table_arena(hs_block_arena(block));

    if (HS_UNLIKELY(!hs_block_is_intact(block) || hs_block_state(block) != HS_STATE_SENT || arena == NULL)) {
        (void)hs_diagnose_cached(payload, HS_STATE_SENT);
        return false;
    }
    if (HS_LIKELY(hs_depot_of(arena) != NULL))
        return post(cache, arena, payload);
    /* Nobody would take it from the inbox of an arena that no thread ever entered. */
    hs_block_set_state(block, HS_STATE_USED);
    hs_heap_release(&(struct hs_owner){.arena = arena, .block = block});
    return false;
}

/* True where an outbox went to an inbox. */
static bool post_all_unsent(struct hs_cache *cache)
{
    uint32_t count = hs_load_relaxed(&cache->unsent.count); /* relaxed: the thread's own */
    bool was_full = false;

    for (uint32_t i = 0; i < count; i++)
        was_full |= post_unsent(cache, cache->unsent.payloads[i]);
    hs_store_relaxed(&cache->unsent.count, 0);
    return was_full;
}

void hs_cache_send_waiting(struct hs_cache *cache)
{
    if (post_all_unsent(cache))
        hs_cache_look_for_unused(cache);
}

/* Nothing else is given back here: in the child of a fork what vanished threads' caches hold is not to be believed. */
bool hs_cache_send_all(struct hs_cache *cache)
{
    bool had_any = hs_load_relaxed(&cache->unsent.count) != 0; /* relaxed: the thread's own */

    (void)post_all_unsent(cache);
    for (unsigned i = 0; i < HS_OUTBOXES; i++) {
        if (cache->outboxes[i].newest == NULL)
            continue;
        push_outbox(&cache->outboxes[i]);
        had_any = true;
    }
    return had_any;
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

bool hs_cache_next_in_chain(const struct hs_arena *arena, void *payload, void **next)
{
    struct hs_block *block = hs_block_of(payload);
    struct hs_region *region = (uintptr_t)payload % HS_ALIGNMENT == 0 ? hs_region_find(block) : NULL;
    uint8_t state;

    if (region == NULL || region->arena != arena || !hs_region_holds(region, block) || !hs_block_is_intact(block))
        return false;
    state = hs_block_state(block);
    if (state != HS_STATE_SENT && state != HS_STATE_SEEN)
        return false;
    HS_PREFETCH(hs_block_of(word_of(payload, HINT)));
    *next = word_of(payload, LINK);
    return true;
}

/* Takes up to `most` blocks off a chain; they leave the inbox's account. What a program has overwritten ends the chain:
 * the rest of it is lost, and reported. */
static unsigned take_from_chain(struct hs_arena *arena, void **chain, void **payloads, unsigned most)
{
    unsigned count = 0;
    uint64_t bytes = 0;

    while (*chain != NULL && count < most) {
        void *payload = *chain;

        if (!hs_cache_next_in_chain(arena, payload, chain)) {
            hs_freelist_note_damage(payload);
            *chain = NULL;
            break;
        }
        bytes += hs_block_bytes(hs_block_of(payload));
        /* Whatever leads here once more is no link. */
        hs_block_set_state(hs_block_of(payload), HS_STATE_CACHED);
        payloads[count++] = payload;
    }
    (void)hs_subtract_relaxed(&arena->inbox_blocks, count); /* relaxed: as in push_outbox */
    (void)hs_subtract_relaxed(&arena->inbox_bytes, bytes);
    return count;
}

/* For its owner, who does not come for it: a chain goes to the depot, and what is too much there to the arena. */
static void deliver(struct hs_arena *arena, void *newest)
{
    void *payloads[DELIVERED_BLOCKS];

    while (newest != NULL) {
        unsigned count = take_from_chain(arena, &newest, payloads, DELIVERED_BLOCKS);
        unsigned stored = hs_depot_put_mixed(arena->depot, payloads, count, true);

        hs_cache_give_many(arena, payloads + stored, count - stored);
    }
}

bool hs_cache_give_chain(struct hs_arena *arena, void *newest)
{
    void *payloads[HS_BATCH_BLOCKS_MOST];
    bool had_any = newest != NULL;

    while (newest != NULL)
        hs_cache_give_many(arena, payloads, take_from_chain(arena, &newest, payloads, HS_BATCH_BLOCKS_MOST));
    return had_any;
}

void hs_cache_sort_mail(struct hs_cache *cache)
{
    void *payloads[HS_BATCH_BLOCKS_MOST];
    unsigned count, left = 0;

    if (cache->pending == NULL)
        cache->pending = hs_cache_take_inbox(cache->arena);
    count = take_from_chain(cache->arena, &cache->pending, payloads, HS_BATCH_BLOCKS_MOST);
    /* The oldest first, so that the newest is the next that malloc takes. */
    for (unsigned i = count; i > 0; i--)
        if (!hs_cache_accept(cache, payloads[i - 1]))
            payloads[count - 1 - left++] = payloads[i - 1];
    hs_cache_give_many(cache->arena, payloads + count - left, left);
}
