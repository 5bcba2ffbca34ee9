/*
 * threads: short threads, several at a time, that allocate, hand blocks over and end; each leaves its blocks behind,
 * and allocates in the destructors of its thread-specific data, until the last time that libc calls these.
 *
 * Goal: the end of a thread, while others allocate and end.
 * Class of bug: thread-local state that is read or set up again after its end; blocks that go with their thread; an
 * arena left locked; a heap that grows by a little with every thread.
 * Oracle: everything in oracle.h; after the last thread there are as many blocks in use as before the first; each
 * destructor ran, and as often as libc comes.
 * Knobs: CREW, threads of one worker at a time; SHARE, records of each; LIFE, its operations.
 *
 * By an odd seed the allocator has made a key of its own before, and its destructor comes before ours; otherwise after.
 */
#include <limits.h>

#include "compiler.h"
#include "exchange.h"
#include "mix.h"
#include "oracle.h"
#include "short_thread.h"
#include "violation.h"

enum { CREW = 4, SHARE = 48, LIFE = 120, SLOTS = 128, ID_BITS = 20 };

/* As often as libc comes; a sanitizer ends its part of the thread at the last time. */
enum { DESTRUCTIONS = HS_HAS_SHADOW ? 2 : PTHREAD_DESTRUCTOR_ITERATIONS };

static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 15, .resize = 15, .inspect = 10};

static pthread_key_t key;

/* What a short thread is in the run. The watchdog and the count of operations know its starter alone. */
struct member {
    struct kit_thread part;
    struct kit_short_thread thread;
    unsigned destructions;
};

/* Sets the key anew but the last time, so that libc comes again. */
static void on_end(void *argument)
{
    struct member *member = argument;
    struct kit_thread *part = &member->part;
    struct kit_block *block = part->blocks[member->destructions];

    kit_self = part;
    if (kit_block_is_live(block))
        kit_mix_resize(part, block, kit_sizes_usual);
    else
        kit_mix_allocate(part, block, part->run->allocator, kit_mix_bytes(&part->rng, kit_sizes_usual));
    for (unsigned i = 0; i < LIFE / 8; i++)
        kit_mix_step(part, &mix, part->run->allocator);
    if (++member->destructions < DESTRUCTIONS)
        (void)pthread_setspecific(key, member);
}

static void live(struct kit_thread *part)
{
    struct member *member = (struct member *)part; /* its first field */

    (void)pthread_setspecific(key, member);
    for (unsigned i = 0; i < LIFE; i++)
        kit_mix_step(part, &mix, part->run->allocator);
}

static void start(struct kit_thread *thread, struct member *member, unsigned index)
{
    *member = (struct member){.part = {
                                  .run = thread->run,
                                  .index = thread->index,
                                  .rng = {kit_rng_next(&thread->rng)},
                                  .blocks = thread->blocks + (size_t)(index + 1) * SHARE,
                                  .block_count = SHARE,
                                  .next_id = thread->next_id,
                              }};
    thread->next_id += UINT64_C(1) << ID_BITS;
    kit_short_start(&member->thread, &member->part, live);
}

static void join(struct kit_thread *thread, struct member *member)
{
    if (!kit_short_join(&member->thread) || member->destructions != DESTRUCTIONS)
        kit_violation(NULL, NULL, "destructors", "%u ran, expected %d", member->destructions, DESTRUCTIONS);
    kit_put(thread->live_bytes, kit_get(thread->live_bytes) + kit_get(member->part.live_bytes));
}

/* False when the thread is to finish. */
static bool work_with_crew(struct kit_thread *thread)
{
    struct member crew[CREW];
    unsigned started = 0;

    for (; started < CREW && kit_step(thread); started++)
        start(thread, &crew[started], started);
    for (unsigned i = 0; i < LIFE && kit_step(thread); i++)
        kit_mix_step(thread, &mix, thread->run->allocator);
    for (unsigned i = 0; i < started; i++)
        join(thread, &crew[i]);
    return started == CREW;
}

/* The first share of the records is the worker's own; a crew inherits the others from the one before it. */
static void work(struct kit_thread *thread)
{
    thread->block_count = SHARE;
    while (work_with_crew(thread))
        ;
    thread->block_count = (CREW + 1) * SHARE;
}

static void begin(struct kit_run *run)
{
    const struct kit_allocator *allocator = run->allocator;

    if (run->config->seed % 2 == 1)
        allocator->free(allocator->context, allocator->malloc(allocator->context, 1));
    if (pthread_key_create(&key, on_end) != 0)
        kit_violation(NULL, NULL, "setup", "no key for thread-specific data");
}

static void end(struct kit_run *run)
{
    (void)run;
    (void)pthread_key_delete(key);
}

const struct kit_scenario stress_threads = {
    .name = "threads",
    .summary = "short threads that leave their blocks behind, with destructors that allocate",
    .uses_libc = true,
    .blocks_of_thread = (CREW + 1) * SHARE,
    .slots = SLOTS,
    .begin = begin,
    .work = work,
    .end = end,
};
