/*
 * signals: threads interrupt each other by signals all the time, and cancel short threads that own blocks, which others
 * then free.
 *
 * Goal: neither a signal nor a pending cancellation disturbs a call of the allocator.
 * Class of bug: a system call that is interrupted and taken for failed, errno that a handler's return spoils, a
 * cancellation point inside the allocator: the thread would end there with a lock held, or with its block lost.
 * Oracle: everything in oracle.h, above all errno and the watchdog; every short thread ended by its cancellation; after
 * the run some of the signals have arrived.
 * Knobs: SIGNAL_EVERY and CANCEL_EVERY, operations of a thread; SHARE, records of a short thread.
 */
#include <errno.h>
#include <signal.h>

#include "exchange.h"
#include "mix.h"
#include "oracle.h"
#include "short_thread.h"
#include "violation.h"

enum { SIGNAL_EVERY = 16, CANCEL_EVERY = 256, SHARE = 64, SLOTS = 128, ID_BITS = 20 };

static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 15, .resize = 20, .inspect = 10};

static _Atomic uint64_t sent, arrived;

static void on_signal(int number)
{
    int saved_errno = errno;

    (void)number;
    errno = EINTR;
    (void)atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed); /* relaxed: a count */
    errno = saved_errno;
}

/* Every worker lives until all have passed the last gate, so its handle is good. */
static void interrupt_some_thread(struct kit_thread *thread)
{
    struct kit_run *run = thread->run;
    const struct kit_thread *victim = &run->threads[kit_rng_below(&thread->rng, run->config->threads)];
    int failure = pthread_kill(victim->handle, SIGUSR1);

    /* The queue of pending signals may be full; SIGUSR1 itself needs no place in it. */
    if (failure != 0 && failure != EAGAIN)
        kit_violation(NULL, NULL, "signal", "error %d", failure);
    if (failure == 0)
        (void)atomic_fetch_add_explicit(&sent, 1, memory_order_relaxed); /* relaxed: a count */
}

/* Ends where it is cancelled, which may be asked for at any moment and is heeded only here. */
static void live_until_cancelled(struct kit_thread *part)
{
    for (;;) {
        for (uint64_t i = kit_rng_below(&part->rng, 16); i > 0; i--)
            kit_mix_step(part, &mix, part->run->allocator);
        pthread_testcancel();
    }
}

/* Not interrupted while it joins: libc then frees under a lock of its own, and ThreadSanitizer, which takes a join for
 * waiting and nothing else, would run the handler in the midst of its own free, where the handler's atomic operation
 * may want what that free holds. All others would then wait for libc's lock. */
static void cancel(struct kit_short_thread *short_thread)
{
    sigset_t ours, before;
    bool ran_to_its_end;

    (void)pthread_cancel(short_thread->handle);
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &ours, &before);
    ran_to_its_end = kit_short_join(short_thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ran_to_its_end)
        kit_violation(NULL, NULL, "cancel", "a thread ended by itself");
}

static void start_and_cancel(struct kit_thread *thread, struct kit_block **blocks)
{
    struct kit_thread part = {
        .run = thread->run,
        .index = thread->index,
        .rng = {kit_rng_next(&thread->rng)},
        .blocks = blocks,
        .block_count = SHARE,
        .next_id = thread->next_id,
    };
    struct kit_short_thread short_thread;

    thread->next_id += UINT64_C(1) << ID_BITS;
    kit_short_start(&short_thread, &part, live_until_cancelled);
    for (uint64_t i = kit_rng_below(&thread->rng, 64); i > 0 && kit_step(thread); i--)
        kit_mix_step(thread, &mix, thread->run->allocator);
    cancel(&short_thread);
    kit_put(thread->live_bytes, kit_get(thread->live_bytes) + kit_get(part.live_bytes));
    for (unsigned i = 0; i < SHARE; i++)
        blocks[i] = kit_exchange(thread, blocks[i], (unsigned)kit_rng_below(&thread->rng, SLOTS));
}

/* The second share of the records is the short threads'. */
static void work(struct kit_thread *thread)
{
    thread->block_count = SHARE;
    while (kit_step(thread)) {
        kit_mix_step(thread, &mix, thread->run->allocator);
        if (kit_rng_below(&thread->rng, SIGNAL_EVERY) == 0)
            interrupt_some_thread(thread);
        if (kit_rng_below(&thread->rng, CANCEL_EVERY) == 0)
            start_and_cancel(thread, thread->blocks + SHARE);
    }
    thread->block_count = 2 * SHARE;
}

static void wait_for_end(struct kit_thread *part)
{
    (void)part;
    for (;;)
        pthread_testcancel();
}

/* The first cancellation of a process loads the unwinder, whose blocks stay. */
static void prepare(struct kit_run *run)
{
    struct kit_short_thread short_thread;

    kit_short_start(&short_thread, &run->threads[0], wait_for_end);
    cancel(&short_thread);
}

static void begin(struct kit_run *run)
{
    struct sigaction mine = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    (void)run;
    kit_put(sent, 0);
    kit_put(arrived, 0);
    (void)sigemptyset(&mine.sa_mask);
    (void)sigaction(SIGUSR1, &mine, NULL);
}

/* The handler stays until every worker has ended: a signal may still be on its way. Later runs set it anew. */
static void end(struct kit_run *run)
{
    (void)run;
    if (kit_get(sent) != 0 && kit_get(arrived) == 0)
        kit_violation(NULL, NULL, "signal", "none arrived of %llu", (unsigned long long)kit_get(sent));
}

const struct kit_scenario stress_signals = {
    .name = "signals",
    .summary = "threads interrupted by signals, and cancelled while they own blocks",
    .uses_libc = true,
    .blocks_of_thread = 2 * SHARE,
    .slots = SLOTS,
    .prepare = prepare,
    .begin = begin,
    .work = work,
    .end = end,
};
