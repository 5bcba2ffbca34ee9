#include "check_parts.h"

#include "cache_parts.h"

/* What is found in one place. */
struct found {
    struct hs_checker *checker;
    uint8_t state; /* CACHED, or in chains SENT */
    uint64_t blocks, bytes;
};

/* Marks the block SEEN, so that a second place that holds it is noticed. */
static void see(struct hs_arena *arena, void *payload, unsigned class_index, void *context)
{
    struct found *found = context;
    struct hs_block *block = hs_block_of(payload);

    if (!hs_check_expect(found->checker, hs_block_is_intact(block) && hs_block_state(block) == found->state, "C1",
                         payload, "a cached block does not say so, or is in two places"))
        return;
    hs_block_set_state(block, HS_STATE_SEEN);
    (void)hs_check_expect(found->checker, hs_block_arena(block) == arena->number, "C1", payload,
                          "a cached block is of another arena");
    if (class_index != HS_CLASS_NONE)
        (void)hs_check_expect(found->checker, hs_block_bytes(block) == hs_class_bytes(class_index), "C4", payload,
                              "a block is in the bin of another class");
    found->blocks++;
    found->bytes += hs_block_bytes(block);
}

/* What is in no bin and no depot is unsent or in a chain. */
static void unsee(struct hs_arena *arena, void *payload, unsigned class_index, void *context)
{
    (void)arena;
    (void)context;
    if (hs_block_state(hs_block_of(payload)) == HS_STATE_SEEN)
        hs_block_set_state(hs_block_of(payload), class_index != HS_CLASS_NONE ? HS_STATE_CACHED : HS_STATE_SENT);
}

static void see_bins(struct hs_checker *checker, struct hs_cache *cache)
{
    struct found found = {.checker = checker, .state = HS_STATE_CACHED};

    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++) {
        void **base = hs_bin_base(cache, i), **top = hs_bin_top(cache, i);

        if (hs_check_expect(checker, base[-1] == HS_SENTINEL && base <= top && top <= cache->bins[i].full, "C4", cache,
                            "a bin's stack is out of its bounds") &&
            base != top)
            hs_cache_for_each_in_bin(cache, i, see, &found);
    }
    if (hs_check_expect(checker, hs_load_relaxed(&cache->unsorted.count) < HS_WAITING_MOST, "C4", cache,
                        "there are more unsorted blocks than have room"))
        hs_cache_for_each_unsorted(cache, see, &found);
}

static void see_unsent(struct hs_checker *checker, struct hs_cache *cache)
{
    struct found found = {.checker = checker, .state = HS_STATE_SENT};
    uint32_t count = hs_load_relaxed(&cache->unsent.count); /* relaxed: at rest */

    if (!hs_check_expect(checker, count < HS_WAITING_MOST, "C4", cache, "there are more unsent blocks than have room"))
        return;
    hs_cache_for_each_unsent(cache, see, &found);
    for (uint32_t i = 0; i < count; i++) {
        const void *payload = cache->unsent.payloads[i];
        const struct hs_block *block = hs_block_of(payload);

        (void)hs_check_expect(checker, hs_block_arena(block) != cache->arena->number, "C1", payload,
                              "an unsent block is of the thread's own arena");
        (void)hs_check_expect(checker, hs_class_of_block(block) == hs_load_relaxed(&cache->unsent.classes[i]), "C4",
                              payload, "an unsent block is of another class than is said");
    }
}

static bool is_empty(const struct hs_outbox *box)
{
    return box->newest == NULL && (hs_load_relaxed(&box->blocks) | hs_load_relaxed(&box->bytes)) == 0;
}

static void see_outbox(struct hs_checker *checker, const struct hs_outbox *box)
{
    struct found found = {.checker = checker, .state = HS_STATE_SENT};

    hs_cache_for_each_in_outbox(box, see, &found);
    (void)hs_check_expect(checker,
                          found.blocks == hs_load_relaxed(&box->blocks) && found.bytes == hs_load_relaxed(&box->bytes),
                          "C5", box, "an outbox holds other blocks than it says");
}

static void see_cache(struct hs_cache *cache, void *context)
{
    struct hs_checker *checker = context;

    see_bins(checker, cache);
    see_unsent(checker, cache);
    for (unsigned i = 0; i < HS_OUTBOXES; i++)
        if (!is_empty(&cache->outboxes[i]))
            see_outbox(checker, &cache->outboxes[i]);
    if (cache->run != NULL)
        (void)hs_check_expect(checker,
                              hs_block_state(cache->run) == HS_STATE_RUN &&
                                  hs_block_tile_bytes(cache->run) == hs_load_relaxed(&cache->run_bytes),
                              "C3", hs_block_payload(cache->run),
                              "a cache's run is none, or cut elsewhere than the cache knows");
}

static void unsee_cache(struct hs_cache *cache, void *context)
{
    hs_cache_for_each_pending(cache, unsee, context);
    hs_cache_for_each_unsent(cache, unsee, context);
    for (unsigned i = 0; i < HS_OUTBOXES; i++)
        hs_cache_for_each_in_outbox(&cache->outboxes[i], unsee, context);
    hs_cache_for_each_in_bins(cache, unsee, context);
}

struct mail {
    struct found found;
    const struct hs_arena *arena;
};

static void see_pending(struct hs_cache *cache, void *context)
{
    struct mail *mail = context;

    if (cache->arena == mail->arena)
        hs_cache_for_each_pending(cache, see, &mail->found);
}

static void see_depot(struct hs_checker *checker, struct hs_arena *arena)
{
    struct found found = {.checker = checker, .state = HS_STATE_CACHED};

    if (hs_depot_of(arena) == NULL)
        return;
    hs_cache_for_each_in_depot(arena, see, &found);
    checker->seen_in_depots += found.blocks;
    (void)hs_check_expect(checker,
                          found.blocks == hs_load_relaxed(&arena->depot->blocks) &&
                              found.bytes == hs_load_relaxed(&arena->depot->bytes),
                          "C5", arena->depot, "a depot holds other blocks than it says");
}

static bool see_in_arena(struct hs_arena *arena, void *context)
{
    struct mail mail = {{.checker = context, .state = HS_STATE_SENT}, arena};

    if (arena->number == HS_ARENA_FIRST_CLASS)
        return true;
    hs_cache_for_each_in_inbox(arena, see, &mail.found);
    hs_cache_for_each_locked(see_pending, &mail);
    (void)hs_check_expect(mail.found.checker,
                          mail.found.blocks == hs_load_relaxed(&arena->inbox_blocks) &&
                              mail.found.bytes == hs_load_relaxed(&arena->inbox_bytes),
                          "C5", arena, "an inbox holds other blocks than it says");
    see_depot(context, arena);
    return true;
}

static bool unsee_in_arena(struct hs_arena *arena, void *context)
{
    const struct hs_checker *checker = context;

    if (arena->number == HS_ARENA_FIRST_CLASS)
        return true;
    hs_cache_for_each_in_inbox(arena, unsee, NULL);
    if (checker->seen_in_depots != 0)
        hs_cache_for_each_in_depot(arena, unsee, NULL);
    return true;
}

void hs_check_see_caches(struct hs_checker *checker)
{
    hs_cache_for_each_locked(see_cache, checker);
    hs_heap_for_each_arena_locked(see_in_arena, checker);
}

void hs_check_unsee_caches(struct hs_checker *checker)
{
    /* Chains first: they end where a block is not in a state of theirs. */
    hs_heap_for_each_arena_locked(unsee_in_arena, checker);
    hs_cache_for_each_locked(unsee_cache, NULL);
}
