/*
 * pairs: two threads free two neighbours at the very same moment, in an arena of their own where nothing else happens,
 * again and again.
 *
 * Goal: the second look of a publication, in the window of a few instructions that it is there for, with whatever the
 * processors reorder in it.
 * Class of bug: two neighbours that are free and stay apart for good; both threads retreat, or neither does; a block
 * that is merged twice.
 * Oracle: everything in oracle.h; once both are free, a block of the bytes of both is to be had where they were.
 * Knobs: the blocks' bytes; LOOKS at the partner before others may run.
 *
 *     | keeper | hole | keeper | hole | keeper | left | right | keeper | never used ...
 *
 * Left and right go to two free lists, each of which has a hole that is a little too small for them: linking into an
 * empty list sets a bit by a locked instruction, which would order what only the fence is to order. First fit then
 * finds both in one place, whatever strategy the run has. From mappings, since a block of a buffer is looked up under
 * a lock, which would let the two threads on one after the other.
 */
#include "heapster.h"

#include <errno.h>
#include <sched.h>

#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "violation.h"

enum { LOOKS = 2000, KEPT = 7, LEFT = KEPT, RIGHT, BLOCKS };

/* Payloads of blocks of 32, 256, 384, 288 and 416 bytes, each with a tag of 8: lists that hold a range of sizes. */
enum { KEEPER_BYTES = 24, LEFT_HOLE_BYTES = 248, RIGHT_HOLE_BYTES = 376, LEFT_BYTES = 280, RIGHT_BYTES = 408 };
enum { BOTH_BYTES = LEFT_BYTES + 8 + RIGHT_BYTES };

struct side {
    _Atomic uint64_t arrived __attribute__((aligned(128)));
    _Atomic bool is_gone;
};

struct pair {
    struct side sides[2];
    struct kit_block *handed_over; /* by the first thread, from one meeting to the next */
    struct kit_allocator plain;    /* the pair's arena */
    struct kit_allocator at_once;  /* the same, but that both threads free at once */
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

static void free_at_once(void *context, void *ptr)
{
    (void)context;
    (void)meet();
    heapster_free(ptr);
}

/* Returns where both blocks will be. */
static uintptr_t prepare_arena(struct kit_thread *thread, const struct kit_allocator *allocator)
{
    static const size_t bytes[KEPT] = {KEEPER_BYTES, LEFT_HOLE_BYTES, KEEPER_BYTES, RIGHT_HOLE_BYTES,
                                       KEEPER_BYTES, BOTH_BYTES,      KEEPER_BYTES};
    struct kit_block **blocks = thread->blocks;
    uintptr_t place;

    for (unsigned i = 0; i < KEPT; i++)
        kit_allocate(thread, blocks[i], allocator, KIT_MALLOC, 0, bytes[i]);
    place = kit_get(blocks[5]->address);
    kit_release(thread, blocks[1], KIT_FREE);
    kit_release(thread, blocks[3], KIT_FREE);
    kit_release(thread, blocks[5], KIT_FREE);
    return place;
}

/* One free block becomes two neighbours in use. */
static void allocate_both(struct kit_thread *thread, const struct pair *pair, uintptr_t place)
{
    struct kit_block *left = thread->blocks[LEFT], *right = thread->blocks[RIGHT];

    kit_allocate(thread, left, &pair->at_once, KIT_MALLOC, 0, BOTH_BYTES);
    if (kit_get(left->address) != place)
        kit_violation(left, NULL, "neighbours", "two free neighbours at %p were not merged", (void *)place);
    kit_resize(thread, left, LEFT_BYTES);
    kit_allocate(thread, right, &pair->at_once, KIT_MALLOC, 0, RIGHT_BYTES);
}

/* The first thread makes the blocks and hands one of them over, the second frees what it is handed. */
static void lead(struct kit_thread *thread, struct pair *pair)
{
    uintptr_t place = prepare_arena(thread, &pair->plain);

    while (kit_step(thread)) {
        unsigned kept = kit_rng_percent(&thread->rng, 50) ? LEFT : RIGHT;

        allocate_both(thread, pair, place);
        pair->handed_over = thread->blocks[LEFT + RIGHT - kept];
        if (!meet())
            return;
        kit_release(thread, thread->blocks[kept], KIT_FREE);
        if (!meet())
            return;
    }
}

static void follow(struct kit_thread *thread, const struct pair *pair)
{
    while (meet()) {
        if (kit_step(thread))
            kit_doing(thread, KIT_FREE, 0);
        kit_release(thread, pair->handed_over, KIT_FREE);
        if (!meet())
            return;
    }
}

static void work_alone(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .resize = 15, .inspect = 10};

    while (kit_step(thread))
        kit_mix_step(thread, &mix, thread->run->allocator);
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
    side == 0 ? lead(thread, pair) : follow(thread, pair);
    kit_put(part.own->is_gone, true);
}

static void begin(struct kit_run *run)
{
    struct pair *pairs = kit_pages_map((run->config->threads + 1) / 2 * sizeof *pairs);

    for (unsigned i = 0; i < run->config->threads / 2; i++) {
        heapster_arena *arena = heapster_arena_create(NULL);

        if (arena == NULL)
            kit_violation(NULL, NULL, "refused", "no arena for a pair, errno %d", errno);
        pairs[i].plain = pairs[i].at_once = kit_heapster_arena(arena);
        pairs[i].at_once.free = free_at_once;
    }
    run->local = pairs;
}

static void end(struct kit_run *run)
{
    struct pair *pairs = run->local;

    for (unsigned i = 0; i < run->config->threads / 2; i++)
        heapster_arena_destroy(pairs[i].plain.context);
    kit_pages_unmap(pairs, (run->config->threads + 1) / 2 * sizeof *pairs);
}

const struct kit_scenario stress_pairs = {
    .name = "pairs",
    .summary = "two threads free two neighbours at the very same moment",
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = BLOCKS,
    .begin = begin,
    .work = work,
    .end = end,
};
