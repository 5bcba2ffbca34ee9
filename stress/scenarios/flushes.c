/*
 * flushes: two threads hold every other block of a row and give all of it back at the same moment, in order, in reverse
 * or at random. One pair in two lives in one arena, where either gives back its own cache; the others send what they
 * free to the one that made it.
 *
 * Goal: whole batches of neighbours on their way back at once: each piece of one meets pieces of the other.
 * Class of bug: two neighbours published at once that stay apart for good, or that are merged twice; a piece that is
 * linked to the wrong list, or is taken in by another piece of its batch and published again; a block that is dropped
 * from a batch, or is in it twice; an account of a batch that does not add up.
 * Oracle: everything in oracle.h; once both are done, the heap is checked, which finds two free neighbours.
 * Knobs: ROW; sizes of a row; CHECK_PERCENT, of the rows.
 */
#include <sched.h>

#include "oracle.h"
#include "pages.h"
#include "violation.h"

enum { ROW = 160, LOOKS = 2000, MOST_BYTES = 1000, CHECK_PERCENT = 5 };

struct side {
    _Atomic uint64_t arrived __attribute__((aligned(128)));
    _Atomic bool is_gone;
};

struct pair {
    struct side sides[2];
    void *home;                    /* where the first thread allocates */
    struct kit_block *handed[ROW]; /* by the first thread, from one meeting to the next; NULL: not this one */
};

/* The calling thread's part in its pair. */
static _Thread_local struct {
    struct side *own, *other;
    uint64_t meetings;
} part;

/* False where the partner is gone. */
static bool meet(void)
{
    unsigned looks = 0;

    part.meetings++;
    atomic_store_explicit(&part.own->arrived, part.meetings, memory_order_release); /* [PAIR] */
    /* [PAIR] what the partner did before it arrived is visible. */
    while (atomic_load_explicit(&part.other->arrived, memory_order_acquire) < part.meetings) {
        if (kit_get(part.other->is_gone))
            return false;
        if (++looks % LOOKS == 0)
            (void)sched_yield();
    }
    return true;
}

static void give_back(const struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;

    if (allocator->give_back != NULL)
        allocator->give_back(allocator->context);
}

static void shuffle(struct kit_rng *rng, struct kit_block **blocks, unsigned count)
{
    for (unsigned i = count; i > 1; i--) {
        unsigned other = (unsigned)kit_rng_below(rng, i);
        struct kit_block *block = blocks[i - 1];

        blocks[i - 1] = blocks[other];
        blocks[other] = block;
    }
}

/* In order, in reverse or at random; then what the cache holds of it goes, too. */
static void free_all(struct kit_thread *thread, struct kit_block **blocks, unsigned count)
{
    uint64_t order = kit_rng_below(&thread->rng, 3);

    if (order == 2)
        shuffle(&thread->rng, blocks, count);
    for (unsigned i = 0; i < count; i++)
        kit_release(thread, blocks[order == 1 ? count - 1 - i : i], KIT_FREE);
    give_back(thread);
}

static void make_row(struct kit_thread *thread)
{
    size_t bytes = 1 + (size_t)kit_rng_below(&thread->rng, MOST_BYTES),
           spread = kit_rng_percent(&thread->rng, 50) ? 0 : 64;

    for (unsigned i = 0; i < ROW; i++) {
        (void)kit_step(thread); /* a row is made and freed as a whole */
        kit_allocate(thread, thread->blocks[i], thread->run->allocator, KIT_MALLOC, 0,
                     bytes + (size_t)kit_rng_below(&thread->rng, spread + 1));
    }
}

/* Every other one, or at random; the rest of the row, whose number is returned, comes into `own`. */
static unsigned share_row(struct kit_thread *thread, struct pair *pair, struct kit_block **own)
{
    bool is_even = kit_rng_percent(&thread->rng, 50);
    unsigned count = 0;

    for (unsigned i = 0; i < ROW; i++) {
        bool is_handed = is_even ? i % 2 == 0 : kit_rng_percent(&thread->rng, 50);

        pair->handed[i] = is_handed ? thread->blocks[i] : NULL;
        if (!is_handed)
            own[count++] = thread->blocks[i];
    }
    return count;
}

static void check(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct kit_text findings = {.length = 0};

    if (allocator->check == NULL || !kit_rng_percent(&thread->rng, CHECK_PERCENT))
        return;
    kit_doing(thread, KIT_CHECK, 0);
    allocator->check(allocator->context, false, &findings);
    if (findings.length != 0)
        kit_violation(NULL, NULL, "running heap", "\n%.*s", (int)findings.length, findings.bytes);
}

static void lead(struct kit_thread *thread, struct pair *pair)
{
    struct kit_block *own[ROW];

    while (kit_step(thread)) {
        unsigned count;

        make_row(thread);
        count = share_row(thread, pair, own);
        if (!meet())
            return;
        free_all(thread, own, count);
        if (!meet())
            return;
        check(thread);
    }
}

static void follow(struct kit_thread *thread, const struct pair *pair)
{
    struct kit_block *own[ROW];

    while (meet()) {
        unsigned count = 0;

        (void)kit_step(thread);
        for (unsigned i = 0; i < ROW; i++)
            if (pair->handed[i] != NULL)
                own[count++] = pair->handed[i];
        free_all(thread, own, count);
        if (!meet())
            return;
    }
}

static void work_alone(struct kit_thread *thread)
{
    while (kit_step(thread)) {
        struct kit_block *own[ROW];

        make_row(thread);
        for (unsigned i = 0; i < ROW; i++)
            own[i] = thread->blocks[i];
        free_all(thread, own, ROW);
        check(thread);
    }
}

/* The first pair, the third one and so on live in one arena each. */
static void move_together(struct kit_thread *thread, struct pair *pair, unsigned side)
{
    const struct kit_allocator *allocator = thread->run->allocator;

    if (thread->index / 2 % 2 != 0 || allocator->settle == NULL)
        return;
    if (side == 0)
        pair->home = allocator->home(allocator->context);
    if (meet() && side != 0)
        allocator->settle(allocator->context, pair->home);
}

static void work(struct kit_thread *thread)
{
    struct pair *pair = (struct pair *)thread->run->local + thread->index / 2;
    unsigned side = thread->index % 2;

    if ((thread->index | 1) >= thread->run->config->threads) {
        work_alone(thread);
        return;
    }
    part.own = &pair->sides[side];
    part.other = &pair->sides[!side];
    part.meetings = 0;
    move_together(thread, pair, side);
    side == 0 ? lead(thread, pair) : follow(thread, pair);
    kit_put(part.own->is_gone, true);
}

static size_t pairs_bytes(const struct kit_run *run)
{
    return (run->config->threads + 1) / 2 * sizeof(struct pair);
}

static void begin(struct kit_run *run)
{
    run->local = kit_pages_map(pairs_bytes(run));
}

static void end(struct kit_run *run)
{
    kit_pages_unmap(run->local, pairs_bytes(run));
}

const struct kit_scenario stress_flushes = {
    .name = "flushes",
    .summary = "two threads give back every other block of a row at the same moment",
    .blocks_of_thread = ROW,
    .begin = begin,
    .work = work,
    .end = end,
};
