/*
 * breaks: somebody else raises the program break by odd amounts, and lowers it again where it still is what they left
 * behind, while all threads allocate.
 *
 * Goal: the break is shared with whoever calls sbrk; Heapster must neither use nor give back what it did not raise.
 * Class of bug: a region that is extended over foreign memory, regions that begin off their grid, a break lowered
 * beneath a foreign span, accounts that take foreign memory for their own.
 * Oracle: everything in oracle.h; the foreign spans keep their content to the end.
 * Knobs: MOVE_EVERY, operations of a thread between two moves; SPANS, and so the address space that is never given
 * back; SPAN_BYTES.
 *
 * From the first foreign span on Heapster lowers the break no more in this process, so the scenario stands last.
 */
#include "heapster.h"

#include <unistd.h>

#include "mix.h"
#include "oracle.h"
#include "os.h"
#include "pages.h"
#include "pattern.h"
#include "violation.h"

enum { MOVE_EVERY = 512, SPANS = 512, SPANS_THAT_STAY = 1, SPAN_BYTES = 40000, FOREIGN_KEY = 0x5B };

struct span {
    char *base;
    size_t bytes;
};

/* All under Heapster's own lock of the break: glibc's sbrk is not thread-safe, and two calls at once could hand out one
 * span twice. A program that calls sbrk beside threads has to see to that as well; what is tested here is the break
 * having moved, at any point of the allocator's work, not a race in libc. */
static struct {
    struct span spans[SPANS];
    unsigned count;
} foreign;

static void raise_break(size_t bytes)
{
    struct span span = {sbrk((intptr_t)bytes), bytes};

    if (span.base == (char *)-1)
        return; /* where a limit or a mapping is in the way, there is nothing to test */
    for (size_t i = 0; i < bytes; i++)
        span.base[i] = (char)kit_pattern_byte(FOREIGN_KEY, i);
    foreign.spans[foreign.count++] = span;
}

static void expect_content(const struct span *span)
{
    for (size_t i = 0; i < span->bytes; i++)
        if ((unsigned char)span->base[i] != kit_pattern_byte(FOREIGN_KEY, i))
            kit_violation(NULL, NULL, "foreign break", "byte %zu at %p, which sbrk gave to somebody else, was changed",
                          i, (void *)(span->base + i));
}

/* True if the newest span was still on top, and is gone. */
static bool lower_break(void)
{
    struct span span;

    if (foreign.count <= SPANS_THAT_STAY)
        return false;
    span = foreign.spans[foreign.count - 1];
    if (sbrk(0) != span.base + span.bytes)
        return false;
    expect_content(&span);
    if (sbrk(-(intptr_t)span.bytes) == (void *)-1)
        return false;
    foreign.count--;
    return true;
}

static void move_break(struct kit_thread *thread)
{
    size_t bytes = 1 + 2 * (size_t)kit_rng_below(&thread->rng, SPAN_BYTES / 2);
    bool lowers = kit_rng_percent(&thread->rng, 50);

    kit_doing(thread, KIT_TUNE, bytes);
    hs_mutex_lock(hs_os_break_lock());
    if (!(lowers && lower_break()) && foreign.count < SPANS)
        raise_break(bytes);
    hs_mutex_unlock(hs_os_break_lock());
}

/* Asked between Heapster's look at where the break is and its call that moves it, under the lock of the break. Only
 * once there is a foreign span that stays: from then on Heapster does not lower the break, so that the call raises it.
 * (Nobody could tell that memory below a foreign span is not on top any more between a look and a call that lowers.) */
static bool move_in_between(enum hs_os_call call)
{
    if (call == HS_OS_SBRK && kit_self != NULL && foreign.count > SPANS_THAT_STAY && foreign.count < SPANS &&
        kit_rng_percent(&kit_self->rng, 50))
        raise_break(1 + 2 * (size_t)kit_rng_below(&kit_self->rng, SPAN_BYTES / 2));
    return false;
}

static void begin(struct kit_run *run)
{
    (void)run;
    hs_os_fault = move_in_between;
}

static void work(struct kit_thread *thread)
{
    static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 10, .resize = 15, .inspect = 15};

    while (kit_step(thread)) {
        kit_mix_step(thread, &mix, thread->run->allocator);
        if (kit_rng_below(&thread->rng, MOVE_EVERY) == 0)
            move_break(thread);
        else if (kit_rng_below(&thread->rng, MOVE_EVERY) == 0)
            (void)heapster_trim(0);
    }
}

/* The spans stay until the end of the process. */
static void end(struct kit_run *run)
{
    (void)run;
    hs_os_fault = NULL;
    for (unsigned i = 0; i < foreign.count; i++)
        expect_content(&foreign.spans[i]);
}

const struct kit_scenario stress_breaks = {
    .name = "breaks",
    .summary = "somebody else moves the program break while all threads allocate",
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = 512,
    .slots = 64,
    .begin = begin,
    .work = work,
    .end = end,
};
