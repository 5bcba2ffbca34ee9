/*
 * stats: the sum of every arena's account, each read under all of its locks, and the large sets'.
 */
#include "cache.h"
#include "depot.h"
#include "heapster.h"
#include "text.h"
#include "visible_memory.h"

/* Depots keep pointers; so many are written at a time. */
enum { POINTERS_A_LINE = HS_CACHE_LINE_BYTES / sizeof(void *) };

/* Relaxed: nobody but the lock's holder writes its counters; where the caller does not hold it they are a little old.
 */
static void add_lock(struct heapster_stats *out, struct hs_mutex *mutex)
{
    out->lock_acquisitions += hs_load_relaxed(&mutex->acquired);
    out->lock_contentions += hs_load_relaxed(&mutex->contended);
}

static void add_large_set(struct heapster_stats *out, struct hs_large_set *set)
{
    hs_mutex_lock(&set->lock);
    out->allocations += set->allocations;
    out->frees += set->frees;
    out->used_bytes += set->bytes;
    out->large_bytes += set->bytes;
    out->large_blocks += set->blocks;
    add_lock(out, &set->lock);
    hs_mutex_unlock(&set->lock);
}

static void add_list_locked(struct heapster_stats *out, struct hs_freelist *list) HS_REQUIRES(list->lock)
{
    size_t largest = hs_freelist_largest_locked(list);

    out->free_bytes += list->bytes;
    out->free_blocks += list->blocks;
    if (largest > out->largest_free)
        out->largest_free = largest;
    add_lock(out, &list->lock);
}

/* Relaxed: nobody is kept from going on meanwhile. */
static void add_remote(struct heapster_stats *out, struct hs_arena *arena)
{
    struct hs_depot *depot = hs_depot_of(arena);

    out->remote_frees += hs_load_relaxed(&arena->sent_blocks);
    out->remote_batches += hs_load_relaxed(&arena->sent_batches);
    if (depot == NULL)
        return;
    add_lock(out, &depot->lock);
    add_lock(out, &depot->emptying);
    out->shared_lines_written += hs_load_relaxed(&depot->taken) / POINTERS_A_LINE;
}

/* What is written by one thread and then by another: with each lock its own line and that of what it guards; with each
 * batch pushed the inbox's; with each block in it the block's first, by its sender and by who takes it in. Depots'
 * pointers are counted already. Not counted: tags and links of free blocks, which belong to whoever claims them. */
static uint64_t shared_lines(const struct heapster_stats *stats)
{
    return 2 * stats->lock_acquisitions + stats->remote_batches + 2 * stats->remote_frees;
}

static bool add_arena(struct hs_arena *arena, void *context) HS_NO_ANALYSIS
{
    struct heapster_stats *out = context;
    struct hs_account account;

    hs_arena_lock_all(arena);
    account = hs_arena_account(arena);
    out->region_bytes += arena->region_bytes;
    out->region_count += arena->region_count;
    add_lock(out, &arena->lock);
    for (unsigned k = 0; k < HS_LISTS; k++)
        add_list_locked(out, &arena->lists[k]);
    hs_arena_unlock_all(arena);
    out->allocations += account.allocations;
    out->frees += account.frees;
    out->used_bytes += hs_load_relaxed(&account.used_bytes); /* relaxed: a copy */
    out->splits += account.splits;
    out->coalesces += account.coalesces;
    out->retreats += account.retreats;
    out->arena_count++;
    add_remote(out, arena);
    if (hs_heap_has_own_large(arena))
        add_large_set(out, arena->large);
    return true;
}

/* While other threads run, what is read later may have grown meanwhile. */
static uint64_t less(uint64_t number, uint64_t by)
{
    return number > by ? number - by : 0;
}

/* What caches hold left the arenas and is not the program's. A run counts there as one block of all its bytes. */
static void add_caches_locked(struct heapster_stats *out)
{
    struct hs_cache_sum sum = hs_cache_sum_locked();

    out->allocations += sum.run_cuts;
    out->cached_blocks = sum.blocks + sum.runs;
    out->cached_bytes = sum.bytes + sum.run_bytes;
    out->used_bytes = less(out->used_bytes, out->cached_bytes);
}

void heapster_stats(struct heapster_stats *out)
{
    HS_VISIBLE_CALL;
    *out = (struct heapster_stats){0};
    hs_heap_start();
    hs_mutex_lock(hs_heap_lock());
    hs_heap_for_each_arena_locked(add_arena, out);
    add_caches_locked(out);
    hs_mutex_unlock(hs_heap_lock());
    add_large_set(out, &hs_heap_large);
    out->used_blocks = less(less(out->allocations, out->frees), out->cached_blocks);
    out->shared_lines_written += shared_lines(out);
    /* Relaxed: counters of their own, exact when nobody else allocates. */
    out->os_sbrk_calls = hs_load_relaxed(&hs_os_calls[HS_OS_SBRK]);
    out->os_mmap_calls = hs_load_relaxed(&hs_os_calls[HS_OS_MMAP]);
    out->os_munmap_calls = hs_load_relaxed(&hs_os_calls[HS_OS_MUNMAP]);
    out->os_mremap_calls = hs_load_relaxed(&hs_os_calls[HS_OS_MREMAP]);
    out->os_madvise_calls = hs_load_relaxed(&hs_os_calls[HS_OS_MADVISE]);
    out->os_purged_bytes = hs_load_relaxed(&hs_os_purged_bytes);
}

#define FIELD(name)                                                                                                    \
    {                                                                                                                  \
#name, offsetof(struct heapster_stats, name)                                                                   \
    }

static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    FIELD(allocations),      FIELD(frees),
    FIELD(used_bytes),       FIELD(used_blocks),
    FIELD(free_bytes),       FIELD(free_blocks),
    FIELD(largest_free),     FIELD(region_bytes),
    FIELD(region_count),     FIELD(large_bytes),
    FIELD(large_blocks),     FIELD(arena_count),
    FIELD(splits),           FIELD(coalesces),
    FIELD(retreats),         FIELD(os_sbrk_calls),
    FIELD(os_mmap_calls),    FIELD(os_munmap_calls),
    FIELD(os_mremap_calls),  FIELD(os_madvise_calls),
    FIELD(os_purged_bytes),  FIELD(lock_acquisitions),
    FIELD(lock_contentions), FIELD(cached_blocks),
    FIELD(cached_bytes),     FIELD(remote_frees),
    FIELD(remote_batches),   FIELD(shared_lines_written),
};

int heapster_stats_print(int fd, enum heapster_format format)
{
    HS_VISIBLE_CALL;
    enum { FIELDS = sizeof fields / sizeof fields[0] };
    bool json = format == HEAPSTER_JSON;
    struct heapster_stats stats;
    struct hs_text line;
    int failure;

    heapster_stats(&stats);
    failure = json ? hs_os_write(fd, "{\n", 2) : 0;
    for (size_t i = 0; i < FIELDS && failure == 0; i++) {
        hs_text_clear(&line);
        hs_text_add(&line, json ? "  \"" : "heapster: ");
        hs_text_add(&line, fields[i].name);
        hs_text_add(&line, json ? "\": " : " ");
        hs_text_add_decimal(&line, *(const uint64_t *)((const char *)&stats + fields[i].offset));
        hs_text_add(&line, json && i + 1 < FIELDS ? ",\n" : "\n");
        failure = hs_os_write(fd, line.bytes, line.length);
    }
    if (json && failure == 0)
        failure = hs_os_write(fd, "}\n", 2);
    return failure;
}
