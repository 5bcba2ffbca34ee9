#include "run.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"
#include "oracle.h"
#include "pages.h"
#include "sampler.h"
#include "violation.h"
#include "watchdog.h"

struct kit_run *kit_current;
_Thread_local struct kit_thread *kit_self;

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double kit_now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double kit_cpu_now(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- gates ---------------------------------------------------------------------------------------------------------
 */

static void gate_init(struct kit_gate *gate)
{
    (void)sem_init(&gate->arrived, 0, 0);
    (void)sem_init(&gate->open, 0, 0);
}

static void wait_for(struct kit_thread *thread, sem_t *semaphore)
{
    kit_put(thread->is_waiting, true);
    while (sem_wait(semaphore) != 0)
        ; /* interrupted */
    kit_put(thread->is_waiting, false);
}

static void gate_pass(struct kit_gate *gate, struct kit_thread *thread)
{
    kit_put(thread->is_waiting, true);
    (void)sem_post(&gate->arrived);
    wait_for(thread, &gate->open);
}

static void gate_open(struct kit_gate *gate, unsigned count)
{
    for (; count > 0; count--)
        (void)sem_post(&gate->open);
}

/* ---- the checker's errands -----------------------------------------------------------------------------------------
 */

void kit_ask_checker(struct kit_run *run, _Atomic bool *due)
{
    kit_put(*due, true);
    (void)sem_post(&run->wake_checker);
}

/* ---- workers -------------------------------------------------------------------------------------------------------
 */

bool kit_step(struct kit_thread *thread)
{
    const struct kit_run *run = thread->run;
    const struct kit_config *config = run->config;
    uint64_t ops = kit_get(thread->ops);

    if (config->ops != 0 ? ops >= config->ops : kit_get(run->stop))
        return false;
    kit_put(thread->ops, ops + 1);
    if ((ops + 1) % config->check_every == 0)
        kit_ask_checker(thread->run, &thread->run->check_due);
    return true;
}

static void release_if_live(struct kit_thread *thread, struct kit_block *block)
{
    if (!kit_block_is_live(block))
        return;
    kit_put(thread->ops, kit_get(thread->ops) + 1);
    kit_release(thread, block, KIT_FREE);
}

/* All blocks of the run, by all threads at once: a thread's own, and its share of the exchange. */
static void drain(struct kit_thread *thread)
{
    struct kit_run *run = thread->run;

    for (unsigned i = 0; i < thread->block_count; i++)
        release_if_live(thread, thread->blocks[i]);
    for (unsigned i = thread->index; i < run->slot_count; i += run->config->threads)
        release_if_live(thread, atomic_load_explicit(&run->slots[i], memory_order_acquire)); /* [EXCHANGE] */
}

static void introduce(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;

    kit_self = thread;
    if (allocator->self != NULL)
        kit_put(thread->identity, allocator->self(allocator->context));
}

static void *work(void *argument)
{
    struct kit_thread *thread = argument;
    struct kit_run *run = thread->run;

    introduce(thread);
    gate_pass(&run->start, thread);
    run->scenario->work(thread);
    gate_pass(&run->worked, thread);
    drain(thread);
    gate_pass(&run->drained, thread);
    return NULL;
}

/* ---- the checker ---------------------------------------------------------------------------------------------------
 */

static void expect_no_findings(const struct kit_text *findings, const char *what)
{
    if (findings->length != 0)
        kit_violation(NULL, NULL, what, "\n%.*s", (int)findings->length, findings->bytes);
}

static void check_heap(struct kit_run *run, bool at_rest)
{
    const struct kit_allocator *allocator = run->allocator;
    struct kit_text findings = {.length = 0};

    if (allocator->check == NULL)
        return;
    allocator->check(allocator->context, at_rest, &findings);
    expect_no_findings(&findings, at_rest ? "heap at rest" : "running heap");
    kit_put(run->checks, kit_get(run->checks) + 1);
}

static void check_statistics(const struct kit_run *run)
{
    const struct kit_allocator *allocator = run->allocator;
    struct kit_text findings = {.length = 0};

    if (allocator->check_statistics == NULL)
        return;
    allocator->check_statistics(allocator->context, &findings);
    expect_no_findings(&findings, "statistics");
}

static void visit_running(const struct kit_walked *block, void *argument)
{
    struct kit_run *run = argument;

    if (block->payload % run->allocator->least_alignment != 0)
        kit_violation(NULL, NULL, "walk", "a block of %zu bytes at 0x%llx", block->usable_bytes,
                      (unsigned long long)block->payload);
}

/* Most often the check, sometimes the walk or the statistics. */
static void check_once(struct kit_thread *checker, unsigned turn)
{
    const struct kit_allocator *allocator = checker->run->allocator;

    if (turn == 3 && allocator->walk != NULL) {
        kit_doing(checker, KIT_WALK, 0);
        allocator->walk(allocator->context, visit_running, checker->run);
    } else if (turn == 5) {
        kit_doing(checker, KIT_STATISTICS, 0);
        check_statistics(checker->run);
    } else {
        kit_doing(checker, KIT_CHECK, 0);
        check_heap(checker->run, false);
    }
    kit_put(checker->ops, kit_get(checker->ops) + 1);
}

static void take_sample(struct kit_thread *checker)
{
    kit_doing(checker, KIT_STATISTICS, 0);
    kit_sampler_look(checker->run);
    kit_put(checker->ops, kit_get(checker->ops) + 1);
}

/* Asked for checks by the workers, every so many operations; requests that came while a check ran count as one. Main's
 * request to stop is one, too, so there is no run without a check. Asked for samples by main. */
static void *check(void *argument)
{
    struct kit_thread *checker = argument;
    struct kit_run *run = checker->run;
    unsigned turn = 0;
    bool is_last;

    introduce(checker);
    do {
        wait_for(checker, &run->wake_checker);
        is_last = kit_get(run->checker_stop);
        if (atomic_exchange_explicit(&run->sample_due, false, memory_order_relaxed))
            take_sample(checker);
        if (atomic_exchange_explicit(&run->check_due, false, memory_order_relaxed) || is_last)
            check_once(checker, turn++ % 8);
    } while (!is_last);
    gate_pass(&run->checked, checker);
    return NULL;
}

/* ---- the run -------------------------------------------------------------------------------------------------------
 */

static void make_threads(struct kit_run *run)
{
    unsigned threads = run->config->threads, each = run->scenario->blocks_of_thread;

    for (unsigned i = 0; i <= threads; i++) {
        struct kit_thread *thread = &run->threads[i];
        bool is_checker = i == threads;

        thread->run = run;
        thread->index = i;
        thread->rng = kit_rng_for(run->config->seed, run->scenario->name, i);
        thread->block_count = is_checker ? 0 : each;
        thread->blocks = run->owned + (size_t)i * each;
        for (unsigned k = 0; k < thread->block_count; k++)
            thread->blocks[k] = &run->blocks[(size_t)i * each + k];
        kit_put(thread->is_waiting, true);
        if (pthread_create(&thread->handle, NULL, is_checker ? check : work, thread) != 0)
            kit_violation(NULL, NULL, "setup", "no thread %u", i);
    }
}

static void set_up(struct kit_run *run)
{
    unsigned threads = run->config->threads;

    run->slot_count = run->scenario->slots;
    run->block_count = (size_t)threads * run->scenario->blocks_of_thread + run->slot_count;
    run->shadow = kit_shadow_make();
    run->threads = kit_pages_map((threads + 1) * sizeof *run->threads);
    run->blocks = kit_pages_map(run->block_count * sizeof *run->blocks);
    run->owned = kit_pages_map((run->block_count + 1) * sizeof(void *));
    run->slots = kit_pages_map((run->slot_count + 1) * sizeof *run->slots);
    run->contention_before = kit_pages_map(KIT_ARENAS_MAX * sizeof *run->contention_before);
    for (unsigned i = 0; i < run->slot_count; i++)
        atomic_init(&run->slots[i], &run->blocks[run->block_count - 1 - i]);
    gate_init(&run->start);
    gate_init(&run->worked);
    gate_init(&run->checked);
    gate_init(&run->drained);
    (void)sem_init(&run->wake_checker, 0, 0);
}

static void tear_down(struct kit_run *run)
{
    kit_shadow_destroy(run->shadow);
    kit_pages_unmap(run->threads, (run->config->threads + 1) * sizeof *run->threads);
    kit_pages_unmap(run->blocks, run->block_count * sizeof *run->blocks);
    kit_pages_unmap(run->owned, (run->block_count + 1) * sizeof(void *));
    kit_pages_unmap(run->slots, (run->slot_count + 1) * sizeof *run->slots);
    kit_pages_unmap(run->contention_before, KIT_ARENAS_MAX * sizeof *run->contention_before);
}

static uint64_t used_blocks(const struct kit_run *run)
{
    const struct kit_allocator *allocator = run->allocator;

    return allocator->used_blocks != NULL ? allocator->used_blocks(allocator->context) : 0;
}

/* Main's own steps call the allocator, too: the clock of the watchdog is then an alarm. */
static void guard_main(const struct kit_run *run, bool on)
{
    (void)alarm(on ? run->config->hang_seconds : 0);
}

static void stop_checker(struct kit_run *run)
{
    kit_put(run->checker_stop, true);
    kit_ask_checker(run, &run->check_due);
    kit_monitor(run, &run->checked, 1);
}

static void expect_same_used_blocks(const struct kit_run *run, uint64_t before)
{
    uint64_t now = used_blocks(run);

    if (now != before)
        kit_violation(NULL, NULL, "leak", "%llu blocks in use after all were freed, %llu before the run",
                      (unsigned long long)now, (unsigned long long)before);
}

/* Of what ended threads kept nothing is left, once main has given back what it keeps itself. */
static void expect_nothing_kept(const struct kit_run *run)
{
    const struct kit_allocator *allocator = run->allocator;
    uint64_t kept_bytes;

    if (allocator->kept_bytes == NULL || allocator->give_all_back == NULL)
        return;
    allocator->give_all_back(allocator->context);
    kept_bytes = allocator->kept_bytes(allocator->context);
    if (kept_bytes != 0)
        kit_violation(NULL, NULL, "kept", "%llu bytes in caches after all threads have ended",
                      (unsigned long long)kept_bytes);
}

static const struct kit_contention *contention_before(const struct kit_run *run, unsigned arena)
{
    for (unsigned i = 0; i < run->contention_count; i++)
        if (run->contention_before[i].arena == arena)
            return &run->contention_before[i];
    return NULL;
}

/* Of this run alone. First-class arenas take their counts along when they go, so these may have become fewer. */
static void take_contention(struct kit_run *run)
{
    const struct kit_allocator *allocator = run->allocator;
    struct kit_result *result = run->result;

    if (allocator->contention == NULL)
        return;
    result->contention_count = allocator->contention(allocator->context, result->contention, KIT_ARENAS_MAX);
    for (unsigned i = 0; i < result->contention_count; i++) {
        struct kit_contention *now = &result->contention[i];
        const struct kit_contention *before = contention_before(run, now->arena);

        if (before == NULL || before->acquired > now->acquired || before->contended > now->contended)
            continue;
        now->acquired -= before->acquired;
        now->contended -= before->contended;
    }
}

/* What the threads did, read while they wait. */
static void take_measures(struct kit_run *run)
{
    const struct kit_allocator *allocator = run->allocator;
    struct kit_result *result = run->result;

    result->seconds = kit_now() - run->began_at;
    result->cpu_seconds = kit_cpu_now() - run->cpu_began_at;
    for (unsigned i = 0; i < run->config->threads; i++) {
        result->ops += kit_get(run->threads[i].ops);
        for (unsigned call = 0; call < KIT_CALLS; call++)
            kit_latency_merge(&result->latency[call], &run->threads[i].latency[call]);
    }
    take_contention(run);
    if (allocator->walk != NULL)
        kit_picture_take(&result->picture, allocator);
}

static void play(struct kit_run *run)
{
    unsigned threads = run->config->threads;
    uint64_t used_before;

    kit_monitor(run, &run->start, threads);
    guard_main(run, true);
    if (run->scenario->prepare != NULL)
        run->scenario->prepare(run);
    used_before = used_blocks(run);
    if (run->scenario->begin != NULL)
        run->scenario->begin(run);
    if (run->allocator->contention != NULL)
        run->contention_count =
            run->allocator->contention(run->allocator->context, run->contention_before, KIT_ARENAS_MAX);
    guard_main(run, false);
    run->began_at = kit_now();
    run->cpu_began_at = kit_cpu_now();
    kit_put(run->stop, false);
    run->is_under_load = true;
    gate_open(&run->start, threads);
    kit_monitor(run, &run->worked, threads);
    run->is_under_load = false;

    stop_checker(run);
    guard_main(run, true);
    take_measures(run);
    check_heap(run, true);
    check_statistics(run);
    kit_compare_with_walk(run);
    guard_main(run, false);
    gate_open(&run->worked, threads);
    kit_monitor(run, &run->drained, threads);

    guard_main(run, true);
    if (run->scenario->end != NULL)
        run->scenario->end(run);
    expect_same_used_blocks(run, used_before);
    check_heap(run, true);
    kit_compare_with_walk(run);
    gate_open(&run->drained, threads);
    gate_open(&run->checked, 1);
    for (unsigned i = 0; i <= threads; i++)
        (void)pthread_join(run->threads[i].handle, NULL);
    check_heap(run, true);
    expect_nothing_kept(run);
    check_heap(run, true);
    guard_main(run, false);
}

void kit_run(const struct kit_config *config, const struct kit_scenario *scenario,
             const struct kit_allocator *allocator, struct kit_result *result)
{
    struct kit_run run = {.config = config, .scenario = scenario, .allocator = allocator, .result = result};
    const char *obstacle = kit_scenario_obstacle(scenario, allocator);

    *result = (struct kit_result){.verdict = obstacle != NULL ? KIT_SKIPPED : KIT_NOT_RUN};
    if (obstacle != NULL) {
        (void)snprintf(result->reason, sizeof result->reason, "%s", obstacle);
        return;
    }
    if (allocator->is_heapster)
        kit_heapster_use_break(!scenario->uses_libc);
    run.home = allocator->home != NULL ? allocator->home(allocator->context) : NULL;
    set_up(&run);
    kit_watchdog_set_up();
    kit_current = &run;
    run.began_at = kit_now();
    make_threads(&run);
    play(&run);
    result->checks = kit_get(run.checks);
    kit_current = NULL;
    result->verdict = KIT_PASSED;
    tear_down(&run);
}
