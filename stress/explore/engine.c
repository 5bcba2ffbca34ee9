#include "engine.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "explored.h"
#include "fiber.h"
#include "memory.h"
#include "search.h"
#include "tables.h"
#include "world.h"

/* The library's constructors run before main. */
struct execution execution = {.is_quiet = true};

enum { EVENTS_MOST = 1 << 16 };

static struct fiber *driver, *fibers[THREADS_MOST];
static struct thread threads_at_checkpoint[THREADS_MOST];
static thread_body *running_body;
static void (*check_at_points)(void);
static unsigned on_fiber; /* whose stack this is: the current thread's, but for who impersonates another */
static struct event *events;
static size_t event_count;

/* ---- fibers ------------------------------------------------------------------------------------------------------ */

/* On a stack of its own, since the fiber's may be what has run out. The fiber is never gone on with. */
static void catch_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    engine_fail("signal: %s at %p", strsignal(number), info->si_addr);
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    static char stack[64 * 1024];
    const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    action.sa_sigaction = catch_signal;
    (void)sigaltstack(&alternative, NULL);
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        (void)sigaction(numbers[i], &action, NULL);
}

void engine_init(void)
{
    world_init();
    memory_init();
    contention_init();
    events = tables_map(EVENTS_MOST * sizeof *events);
    driver = fiber_adopt();
    for (unsigned i = 0; i < THREADS_MOST; i++)
        fibers[i] = fiber_create();
    if (!EXPLORE_HAS_SANITIZER)
        catch_signals();
}

static void go_on_with(unsigned thread)
{
    struct fiber *from = fibers[execution.current];

    if (thread == execution.current)
        return;
    execution.current = thread;
    on_fiber = thread;
    fiber_switch(from, fibers[thread]);
}

static void leave_for_good(void)
{
    fiber_switch(fibers[on_fiber], driver);
    abort();
}

/* ---- beginnings and ends ----------------------------------------------------------------------------------------- */

void engine_begin(unsigned thread_count)
{
    struct thread *threads = execution.threads;

    contention_forget();
    world_reset();
    explore_zero(&execution, sizeof execution);
    execution.thread_count = thread_count;
    execution.is_quiet = true;
    for (unsigned i = 0; i < thread_count; i++) {
        threads[i].state = THREAD_RUNNABLE;
        threads[i].self.cache = hs_explored_no_cache();
        threads[i].knows.before.at[i] = threads[i].knows.seen.at[i] = 1;
    }
    event_count = 0;
}

void engine_impersonate(unsigned thread)
{
    execution.current = thread;
}

/* Those of the execution before, too, which may have had more. */
static void join_all(void)
{
    for (unsigned i = 0; i < THREADS_MOST; i++)
        fiber_join(fibers[i]);
}

static void start_quietly(void *context)
{
    (void)context;
    running_body(0);
    leave_for_good();
}

void engine_run_quietly(thread_body *body)
{
    unsigned first = 0;

    while (execution.threads[first].state == THREAD_VANISHED)
        first++;
    execution.current = first;
    execution.is_quiet = true;
    running_body = body;
    on_fiber = first;
    join_all();
    fiber_restart(fibers[first], start_quietly, NULL);
    fiber_switch(driver, fibers[first]);
}

void engine_checkpoint(void)
{
    execution.current = 0;
    explore_copy(threads_at_checkpoint, execution.threads, sizeof threads_at_checkpoint);
    world_checkpoint();
}

static void rewind_execution(void)
{
    unsigned thread_count = execution.thread_count;
    bool is_recording = execution.is_recording;

    world_rewind();
    memory_forget();
    explore_zero(&execution, sizeof execution);
    explore_copy(execution.threads, threads_at_checkpoint, sizeof threads_at_checkpoint);
    execution.thread_count = thread_count;
    execution.is_recording = is_recording;
    event_count = 0;
}

static void start_thread(void *context)
{
    unsigned thread = (unsigned)(uintptr_t)context;

    running_body(thread);
    if (memory_waits()) {
        engine_point(TOUCH_ALL, NULL, 0);
        memory_drain();
    }
    engine_note(EVENT_END, "");
    engine_self()->state = THREAD_ENDED;
    engine_wait();
    abort();
}

/* The mutex that a thread stands before, where somebody holds it; otherwise NULL. */
static const struct hs_mutex *find_obstacle(const struct thread *thread)
{
    const struct hs_mutex *mutex = (const struct hs_mutex *)(uintptr_t)thread->next.address;

    return thread->next.touch == TOUCH_LOCK && backend_holder_of(mutex) >= 0 ? mutex : NULL;
}

static bool may_go_on(unsigned index)
{
    const struct thread *thread = &execution.threads[index];

    return thread->state == THREAD_RUNNABLE && (execution.yielded >> index & 1) == 0 && find_obstacle(thread) == NULL;
}

/* Who may go on, the current thread first where it is one of them. */
static unsigned find_candidates(uint8_t *candidates)
{
    unsigned count = 0;

    if (may_go_on(execution.current))
        candidates[count++] = (uint8_t)execution.current;
    for (unsigned i = 0; i < execution.thread_count; i++)
        if (i != execution.current && may_go_on(i))
            candidates[count++] = (uint8_t)i;
    return count;
}

/* Of the candidates those who do not sleep. */
static unsigned leave_out_asleep(uint8_t *candidates, unsigned count)
{
    unsigned awake = 0;

    for (unsigned i = 0; i < count; i++)
        if (!(execution.asleep >> candidates[i] & 1))
            candidates[awake++] = candidates[i];
    return awake;
}

static void run(thread_body *body)
{
    uint8_t candidates[THREADS_MOST];
    unsigned count, chosen;

    join_all();
    running_body = body;
    for (unsigned i = 0; i < execution.thread_count; i++)
        fiber_restart(fibers[i], start_thread, (void *)(uintptr_t)i);
    count = find_candidates(candidates);
    chosen = candidates[search_choose_thread(CHOICE_WAIT, candidates, count)];
    execution.current = chosen;
    on_fiber = chosen;
    fiber_switch(driver, fibers[chosen]);
    execution.is_quiet = true;
}

void engine_run(thread_body *body)
{
    rewind_execution();
    run(body);
}

void engine_rehearse(thread_body *body)
{
    rewind_execution();
    execution.is_rehearsal = !EXPLORE_HAS_SANITIZER;
    run(body);
}

void engine_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(execution.failure, sizeof execution.failure, format, arguments);
    va_end(arguments);
    execution.outcome = OUTCOME_FAILED;
    if (!execution.is_quiet)
        engine_note(EVENT_FAILED, "");
    leave_for_good();
    abort();
}

void engine_prune(void)
{
    execution.outcome = OUTCOME_PRUNED;
    leave_for_good();
    abort();
}

void engine_vanish_others(void)
{
    memory_drain_all();
    execution.is_alone = true;
    execution.locks_at_fork = engine_self()->locks;
    for (unsigned i = 0; i < execution.thread_count; i++) {
        struct thread *thread = &execution.threads[i];

        /* The child's memory is what all of them had written when it was copied. */
        knowledge_join(&engine_self()->knows, &thread->knows);
        fiber_join(fibers[i]);
        /* Those too that have done all they do: they live on in the parent alone. */
        if (i != execution.current)
            thread->state = THREAD_VANISHED;
    }
}

/* ---- points ------------------------------------------------------------------------------------------------------ */

static void count_step(void)
{
    engine_self()->steps++;
    execution.yielded &= (uint8_t)(1U << execution.current);
    if (++execution.steps > STEPS_MOST)
        engine_fail("no progress: %u operations, and no end", execution.steps);
}

/* Somebody else may go on first. */
static void choose_next(void)
{
    uint8_t candidates[THREADS_MOST];
    unsigned count = find_candidates(candidates), index;

    if (count < 2)
        return;
    execution.points++;
    count = leave_out_asleep(candidates, count);
    index = search_choose_thread(CHOICE_THREAD, candidates, count);
    if (index == 0)
        return;
    execution.preemptions++;
    if (search_puts_to_sleep() && !memory_any_waits())
        execution.asleep |= (uint8_t)(1U << execution.current);
    go_on_with(candidates[index]);
}

void engine_wake_all(void)
{
    execution.asleep = 0;
}

/* The current thread does its next operation, or waits for a mutex to be able to. */
static void wake_dependent(void)
{
    for (unsigned i = 0; execution.asleep >> i != 0; i++)
        if ((execution.asleep >> i & 1) && contention_between(&execution.threads[i].next, &engine_self()->next))
            execution.asleep &= (uint8_t) ~(1U << i);
}

void engine_check_at_points(void (*check)(void))
{
    check_at_points = check;
}

static void check_now(void)
{
    if (check_at_points == NULL || execution.locks_held > 0 || execution.is_being_born || execution.is_rehearsal)
        return;
    execution.is_quiet = true;
    check_at_points();
    execution.is_quiet = false;
}

void engine_point(enum touch touch, const volatile void *address, size_t bytes)
{
    struct thread *self = engine_self();

    count_step();
    check_now();
    self->next = (struct operation){touch, (uint8_t)bytes, address};
    /* What a child reads, fork has read: with all locks in hand, and beside what others were doing. */
    if (!contention_note(&self->next, execution.is_alone ? &execution.locks_at_fork : &self->locks) &&
        !search_asks_everywhere())
        return;
    if (execution.is_alone)
        return;
    if (find_obstacle(self) == NULL)
        choose_next();
    wake_dependent();
    memory_choose_drains();
}

/* Those too who stand before a held mutex and have not begun to wait. True where anybody waits. */
static bool find_waiting(void)
{
    bool any = false;

    for (unsigned i = 0; i < execution.thread_count; i++) {
        struct thread *thread = &execution.threads[i];

        if (thread->state == THREAD_RUNNABLE && find_obstacle(thread) != NULL) {
            thread->state = THREAD_WAITING;
            thread->waits_for = find_obstacle(thread);
        }
        any |= thread->state == THREAD_WAITING;
    }
    return any;
}

/* Nobody can go on: all have ended, or they wait for each other. */
static void end_or_deadlock(void)
{
    char text[512] = "";
    size_t length = 0;

    if (!find_waiting())
        leave_for_good();
    for (unsigned i = 0; i < execution.thread_count && length < sizeof text; i++) {
        const struct thread *thread = &execution.threads[i];
        char name[48];
        int holder;

        if (thread->state != THREAD_WAITING)
            continue;
        holder = backend_holder_of(thread->waits_for);
        backend_name_lock(thread->waits_for, name, sizeof name);
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "%sthread %u waits for %s, held by %s%d",
                             length == 0 ? "" : "; ", i + 1, name, holder < 0 ? "nobody " : "thread ", holder + 1);
    }
    engine_fail("deadlock: %s", text);
}

void engine_wait(void)
{
    uint8_t candidates[THREADS_MOST];
    unsigned count = find_candidates(candidates);

    /* A thread may wait again before its next operation, and each time is asked about. */
    engine_self()->steps++;
    if (count == 0 && (execution.yielded >> execution.current & 1) != 0) {
        execution.yielded &= (uint8_t) ~(1U << execution.current);
        return;
    }
    if (count == 0) {
        /* Those who have yielded would rather go last. */
        execution.yielded = 0;
        count = find_candidates(candidates);
    }
    if (count == 0)
        end_or_deadlock();
    count = leave_out_asleep(candidates, count);
    if (count == 0)
        engine_prune();
    go_on_with(candidates[search_choose_thread(CHOICE_WAIT, candidates, count)]);
}

void engine_run_destructors(void)
{
    for (unsigned key = 0; key < THREAD_KEYS; key++) {
        const void *value = engine_self()->key_value[key];

        engine_self()->key_value[key] = NULL;
        if (value != NULL)
            backend_run_destructor(key, value);
    }
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static struct event *record(enum event_kind kind)
{
    struct event *event;

    if (!execution.is_recording || event_count == EVENTS_MOST)
        return NULL;
    event = &events[event_count++];
    explore_zero(event, sizeof *event);
    event->kind = kind;
    event->thread = execution.current;
    event->preemptions = execution.preemptions;
    event->step = engine_self()->steps;
    return event;
}

uint64_t engine_event(enum event_kind kind, const volatile void *address, uint64_t value, unsigned stale,
                      uint64_t cause, const void *place)
{
    struct thread *self = engine_self();
    uint64_t name = address != NULL ? world_name(address) : 0;
    struct event *event = record(kind);

    self->history = engine_mix(engine_mix(engine_mix(self->history, (uint64_t)kind + 1), name), cause);
    if (event != NULL) {
        event->name = name;
        event->value = value;
        event->stale = stale;
        event->place = place;
    }
    return self->history;
}

void engine_note(enum event_kind kind, const char *text)
{
    struct event *event = record(kind);

    if (event != NULL)
        (void)snprintf(event->text, sizeof event->text, "%s", text);
}

void engine_note_block(enum event_kind kind, const char *text, const void *address, const void *place)
{
    struct event *event = record(kind);

    if (event == NULL)
        return;
    event->name = address != NULL && world_holds(address) ? world_name(address) : 0;
    event->place = place;
    (void)snprintf(event->text, sizeof event->text, "%s", text);
}

void engine_note_found(uint64_t value)
{
    if (execution.is_recording && event_count > 0)
        events[event_count - 1].found = value;
}

const struct event *engine_events(size_t *count)
{
    *count = event_count;
    return events;
}

uint64_t engine_signature(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < execution.thread_count; i++)
        sum = hs_wrap_add(sum, engine_mix(execution.threads[i].history, i + 1));
    return sum;
}
