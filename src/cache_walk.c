#include "cache_parts.h"

/* ---- every block in one place ------------------------------------------------------------------------------------ */

/* Apart: most chains are empty, and AddressSanitizer makes a frame with a local of known address dear. */
HS_NOINLINE static void follow_chain(struct hs_arena *arena, void *payload, hs_visit_cached *visit, void *context)
{
    void *next;

    while (payload != NULL && hs_cache_next_in_chain(arena, payload, &next)) {
        visit(arena, payload, HS_CLASS_NONE, context);
        payload = next;
    }
}

static void for_each_in_chain(struct hs_arena *arena, void *newest, hs_visit_cached *visit, void *context)
{
    if (newest != NULL)
        follow_chain(arena, newest, visit, context);
}

void hs_cache_for_each_in_inbox(struct hs_arena *arena, hs_visit_cached *visit, void *context)
{
    for_each_in_chain(arena, hs_load_relaxed(&arena->inbox), visit, context); /* relaxed: nobody else runs */
}

static void for_each_in_magazines(struct hs_arena *arena, const struct hs_magazine *magazine, unsigned class_index,
                                  hs_visit_cached *visit, void *context)
{
    for (; magazine != NULL; magazine = magazine->next)
        for (uint64_t k = 0; k < magazine->count; k++)
            visit(arena, magazine->payloads[k], class_index, context);
}

void hs_cache_for_each_in_depot(struct hs_arena *arena, hs_visit_cached *visit, void *context)
{
    struct hs_depot *depot = hs_depot_of(arena);

    if (depot == NULL)
        return;
    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++) {
        const struct hs_magazine *newest = hs_load_relaxed(&depot->magazines[i]);

        if (newest != NULL)
            for_each_in_magazines(arena, newest, i, visit, context);
    }
}

void hs_cache_for_each_pending(struct hs_cache *cache, hs_visit_cached *visit, void *context)
{
    for_each_in_chain(cache->arena, cache->pending, visit, context);
}

void hs_cache_for_each_unsent(struct hs_cache *cache, hs_visit_cached *visit, void *context)
{
    for (unsigned i = 0; i < hs_load_relaxed(&cache->unsent.count); i++) {
        void *payload = cache->unsent.payloads[i];
        struct hs_arena *arena = hs_heap_table_arena(hs_block_arena(hs_block_of(payload)));

        visit(arena != NULL ? arena : cache->arena, payload, HS_CLASS_NONE, context);
    }
}

void hs_cache_for_each_in_outbox(const struct hs_outbox *box, hs_visit_cached *visit, void *context)
{
    for_each_in_chain(box->arena, box->newest, visit, context);
}

void hs_cache_for_each_in_bin(struct hs_cache *cache, unsigned class_index, hs_visit_cached *visit, void *context)
{
    for (void **slot = hs_bin_base(cache, class_index); slot < hs_bin_top(cache, class_index); slot++)
        visit(cache->arena, *slot, class_index, context);
}

void hs_cache_for_each_unsorted(struct hs_cache *cache, hs_visit_cached *visit, void *context)
{
    for (unsigned i = 0; i < hs_load_relaxed(&cache->unsorted.count); i++)
        visit(cache->arena, cache->unsorted.payloads[i], hs_load_relaxed(&cache->unsorted.classes[i]), context);
}

void hs_cache_for_each_in_bins(struct hs_cache *cache, hs_visit_cached *visit, void *context)
{
    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++)
        if (hs_bin_count(cache, i) != 0)
            hs_cache_for_each_in_bin(cache, i, visit, context);
    hs_cache_for_each_unsorted(cache, visit, context);
}

/* Relaxed throughout: statistics, exact where no other thread allocates. While one does, a stack may be moving. */
static void add_waiting(const struct hs_waiting *waiting, struct hs_cache_sum *sum)
{
    for (unsigned i = 0; i < hs_load_relaxed(&waiting->count); i++) {
        sum->blocks++;
        sum->bytes += hs_class_bytes(hs_load_relaxed(&waiting->classes[i]));
    }
}

static void add_cache(struct hs_cache *cache, void *context)
{
    struct hs_cache_sum *sum = context;

    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++) {
        size_t count = (size_t)(hs_load_relaxed(&cache->bins[i].top) - hs_load_relaxed(&cache->records[i].base));

        if (count > HS_BIN_SLOTS_MOST)
            continue;
        sum->blocks += count;
        sum->bytes += count * hs_class_bytes(i);
    }
    add_waiting(&cache->unsorted, sum);
    add_waiting(&cache->unsent, sum);
    for (unsigned i = 0; i < HS_OUTBOXES; i++) {
        sum->blocks += hs_load_relaxed(&cache->outboxes[i].blocks);
        sum->bytes += hs_load_relaxed(&cache->outboxes[i].bytes);
    }
    sum->run_bytes += hs_load_relaxed(&cache->run_bytes);
    sum->runs += hs_load_relaxed(&cache->run_bytes) != 0;
    sum->run_cuts += hs_load_relaxed(&cache->run_cuts);
}

static bool add_arena(struct hs_arena *arena, void *context)
{
    struct hs_cache_sum *sum = context;

    sum->blocks += hs_load_relaxed(&arena->inbox_blocks); /* relaxed: as above */
    sum->bytes += hs_load_relaxed(&arena->inbox_bytes);
    if (hs_depot_of(arena) != NULL) {
        sum->blocks += hs_load_relaxed(&arena->depot->blocks);
        sum->bytes += hs_load_relaxed(&arena->depot->bytes);
    }
    return true;
}

struct hs_cache_sum hs_cache_sum_locked(void)
{
    struct hs_cache_sum sum = {0};

    hs_cache_for_each_locked(add_cache, &sum);
    (void)hs_heap_for_each_table_arena(add_arena, &sum);
    return sum;
}

static void verify(struct hs_arena *arena, void *payload, unsigned class_index, void *context)
{
    (void)arena;
    (void)class_index;
    (void)context;
    (void)hs_cache_keep_sound(&payload, 1);
}

static void verify_unsent(struct hs_arena *arena, void *payload, unsigned class_index, void *context)
{
    const struct hs_block *block = hs_block_of(payload);

    (void)arena;
    (void)class_index;
    (void)context;
    if (!hs_block_is_intact(block) || hs_block_state(block) != HS_STATE_SENT)
        (void)hs_diagnose_cached(payload, HS_STATE_SENT);
}

void hs_cache_verify(void)
{
    if (hs_cache_self == &hs_cache_none)
        return;
    hs_cache_for_each_in_bins(hs_cache_self, verify, NULL);
    hs_cache_for_each_unsent(hs_cache_self, verify_unsent, NULL);
}
