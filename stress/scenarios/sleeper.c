/*
 * sleeper: the first thread makes many blocks, hands them to the others and sleeps until all of them are freed, again
 * and again.
 *
 * Goal: what is given back to an arena whose threads do not call is given back all the same.
 * Class of bug: an inbox without a bound; a sender that empties it in part, or twice; an account of the inbox that
 * drifts away from what it holds, so that the bound is never met any more.
 * Oracle: everything in oracle.h; while its owner sleeps an inbox holds HS_INBOX_BYTES_MOST and what one sender adds;
 * every other sender has an outbox, which is not full.
 * Knobs: ROUND_BYTES, what is handed over before a sleep; sizes.
 */
#include <sched.h>
#include <time.h>

#include "cache.h"
#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "queue.h"
#include "violation.h"

enum { BLOCKS = 8, QUEUES = 128, NAP_NS = 50000 };

#define ROUND_BYTES ((size_t)16 << 20)

/* An outbox, with the block that filled it; for each sender. */
#define SENDER_BYTES (((size_t)32 + 72) << 10)

static const struct kit_sizes sizes[] = {
    {60, 16, 2000},
    {30, 2000, (size_t)16 << 10},
    {10, (size_t)16 << 10, (size_t)70 << 10},
    {0, 0, 0},
};

struct local {
    struct kit_queue *queues;
    _Atomic uint64_t made __attribute__((aligned(128))); /* by the first thread */
    _Atomic uint64_t freed __attribute__((aligned(128)));
    _Atomic uint64_t allowed_bytes; /* in the hands of those that free */
    _Atomic bool is_over;
    void *home; /* where the first thread allocates */
};

static void nap(void)
{
    const struct timespec pause = {0, NAP_NS};

    (void)nanosleep(&pause, NULL);
}

/* ---- the owner -----------------------------------------------------------------------------------------------------
 */

/* To whichever of the others has room; false where none has. */
static bool hand_over(struct kit_thread *thread, struct kit_block **place, unsigned turn)
{
    struct local *local = thread->run->local;
    unsigned others = thread->run->config->threads - 1, queue = (1 + turn % others) % QUEUES;
    struct kit_block *passed;

    kit_doing(thread, KIT_HAND_OVER, 0);
    passed = kit_queue_swap(thread->run, local->queues, queue, KIT_QUEUE_FILL, *place);
    if (passed == NULL)
        return false;
    *place = passed;
    kit_put(local->made, kit_get(local->made) + 1);
    return true;
}

/* False where the thread is to finish. */
static bool make_round(struct kit_thread *thread)
{
    struct kit_block **place = &thread->blocks[0];
    size_t bytes = 0;

    for (unsigned turn = 0; bytes < ROUND_BYTES && kit_step(thread); turn++) {
        kit_mix_allocate(thread, *place, thread->run->allocator, kit_mix_bytes(&thread->rng, sizes));
        bytes += kit_get((*place)->bytes);
        for (; !hand_over(thread, place, turn); turn++)
            (void)sched_yield();
    }
    return bytes >= ROUND_BYTES;
}

static void sleep_until_all_are_freed(struct kit_thread *thread)
{
    const struct local *local = thread->run->local;

    kit_put(thread->is_waiting, true);
    /* [FREED] what the others sent is counted in the inbox. */
    while (atomic_load_explicit(&local->freed, memory_order_acquire) != kit_get(local->made))
        nap();
    kit_put(thread->is_waiting, false);
}

static void expect_bound(struct kit_thread *thread, uint64_t kept_before)
{
    const struct kit_run *run = thread->run;
    const struct local *local = run->local;
    uint64_t kept_bytes = run->allocator->kept_bytes(run->allocator->context);

    if (kept_bytes > kept_before + HS_INBOX_BYTES_MOST + kit_get(local->allowed_bytes))
        kit_violation(NULL, NULL, "kept", "%llu KiB were given back to an owner that sleeps, and are in nobody's hands",
                      (unsigned long long)(kept_bytes - kept_before) >> 10);
}

static void own(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct local *local = thread->run->local;
    bool goes_on = true, is_heapster = allocator->is_heapster;

    local->home = is_heapster ? allocator->home(allocator->context) : NULL;
    while (goes_on) {
        uint64_t kept_before;

        goes_on = make_round(thread);
        kept_before = is_heapster ? kit_heapster_own_kept_bytes() + kit_heapster_depot_bytes() : 0;
        sleep_until_all_are_freed(thread);
        if (is_heapster)
            expect_bound(thread, kept_before);
    }
    kit_put(local->is_over, true);
}

/* ---- the others ----------------------------------------------------------------------------------------------------
 */

/* Whoever lives in the owner's arena keeps in its own cache what it frees. Called once the owner's home is known. */
static void add_allowance(const struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct local *local = thread->run->local;
    bool is_neighbour = allocator->is_heapster && allocator->home(allocator->context) == local->home;

    (void)atomic_fetch_add_explicit(&local->allowed_bytes, is_neighbour ? HS_CACHE_BYTES_MOST : SENDER_BYTES,
                                    memory_order_relaxed); /* relaxed: [FREED] hands it over */
}

static void free_for_owner(struct kit_thread *thread)
{
    struct local *local = thread->run->local;
    struct kit_block **place = &thread->blocks[0];
    bool has_begun = false;

    for (;;) {
        bool is_over = kit_get(local->is_over);
        struct kit_block *passed =
            kit_queue_swap(thread->run, local->queues, thread->index % QUEUES, KIT_QUEUE_EMPTY, *place);

        if (passed != NULL) {
            (void)kit_step(thread);
            if (!has_begun)
                add_allowance(thread);
            has_begun = true;
            *place = passed;
            kit_mix_release(thread, *place);
            (void)atomic_fetch_add_explicit(&local->freed, 1, memory_order_release); /* [FREED] */
        } else if (is_over) {
            return;
        } else {
            kit_put(thread->is_waiting, true);
            nap();
            kit_put(thread->is_waiting, false);
        }
    }
}

static void work(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = sizes, .resize = 10, .inspect = 10};

    if (thread->run->config->threads == 1) {
        while (kit_step(thread))
            kit_mix_step(thread, &mix, thread->run->allocator);
    } else if (thread->index == 0) {
        own(thread);
    } else {
        free_for_owner(thread);
    }
}

static void begin(struct kit_run *run)
{
    struct local *local = kit_pages_map(sizeof *local);

    local->queues = kit_queues_make(QUEUES);
    run->local = local;
}

static void end(struct kit_run *run)
{
    struct local *local = run->local;

    kit_pages_unmap(local->queues, QUEUES * sizeof *local->queues);
    kit_pages_unmap(local, sizeof *local);
}

const struct kit_scenario stress_sleeper = {
    .name = "sleeper",
    .summary = "a thread whose blocks others free while it sleeps",
    .blocks_of_thread = BLOCKS,
    .slots = QUEUES * KIT_QUEUE_CELLS,
    .begin = begin,
    .work = work,
    .end = end,
};
