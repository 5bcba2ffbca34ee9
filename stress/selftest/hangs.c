/*
 * hangs: proves that the watchdog says where a run hangs and who holds what. `kit-hangs call`: one thread stands still
 * in a call of the allocator and holds its lock, so that the others wait for it. `kit-hangs heap`: one takes the lock
 * of an arena of Heapster's and keeps it, so that the others wait in heapster_malloc. `kit-hangs main`: the main
 * thread stands still in the check at rest. Each runs in a child, whose report is read.
 *
 * `kit-hangs counters`: what the table of functions says of how busy each arena's locks are.
 */
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broken.h"
#include "cache.h"
#include "heap.h"
#include "heapster.h"
#include "heapster_locks.h"
#include "mix.h"
#include "run.h"
#include "stack.h"
#include "violation.h"

enum { EXIT_USAGE = 2, REPORT_BYTES = 256 * 1024, THREADS = 4, HOLDER = 1, HOLDS_FROM = 200, STEP_BYTES = 200000 };

/* ThreadSanitizer hands a signal on when the thread is out of pthread_mutex_lock, which it never is here. */
#if defined(HS_THREAD_SANITIZER)
static const bool who_waits_is_silent = true;
#else
static const bool who_waits_is_silent = false;
#endif

static __attribute__((noinline)) void stand_still(void)
{
    for (;;)
        (void)pause();
}

/* ---- an allocator that hangs ---------------------------------------------------------------------------------------
 */

static struct {
    pthread_mutex_t mutex;
    _Atomic(const void *) holder;
    struct kit_allocator inner;
    bool hangs_at_rest;
} outer = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local char mark;

static const void *mark_of_self(void *context)
{
    (void)context;
    return &mark;
}

static void held_locks(void *context, kit_held_lock *visit, void *argument)
{
    const void *holder = kit_get(outer.holder);

    (void)context;
    if (holder != NULL)
        visit("the only lock", holder, argument);
}

static void take(void)
{
    (void)pthread_mutex_lock(&outer.mutex);
    kit_put(outer.holder, &mark);
}

static void give(void)
{
    kit_put(outer.holder, NULL);
    (void)pthread_mutex_unlock(&outer.mutex);
}

static void *hanging_malloc(void *context, size_t bytes)
{
    void *block;

    take();
    if (!outer.hangs_at_rest && kit_self != NULL && kit_self->index == HOLDER && kit_get(kit_self->ops) > HOLDS_FROM)
        stand_still();
    block = outer.inner.malloc(context, bytes);
    give();
    return block;
}

static void hanging_check(void *context, bool at_rest, struct kit_text *findings)
{
    take();
    if (outer.hangs_at_rest && at_rest)
        stand_still();
    outer.inner.check(context, at_rest, findings);
    give();
}

static struct kit_allocator hanging_allocator(bool at_rest)
{
    struct kit_allocator allocator = broken_allocator(FAULT_NONE);

    outer.inner = allocator;
    outer.hangs_at_rest = at_rest;
    allocator.malloc = hanging_malloc;
    allocator.check = hanging_check;
    allocator.self = mark_of_self;
    allocator.held_locks = held_locks;
    return allocator;
}

static void work_with_it(struct kit_thread *thread)
{
    static const struct kit_sizes sizes[] = {{100, 0, 512}, {0, 0, 0}};
    static const struct kit_mix mix = {.sizes = sizes, .inspect = 20};

    while (kit_step(thread))
        kit_mix_step(thread, &mix, thread->run->allocator);
}

/* ---- Heapster ------------------------------------------------------------------------------------------------------
 */

static sem_t has_settled, is_locked;

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ; /* interrupted */
}

static __attribute__((noinline)) void keep_the_lock(void)
{
    /* Settling takes locks, too. */
    for (int i = 0; i < THREADS - 1; i++)
        await(&has_settled);
    hs_mutex_lock(&hs_heap_arena()->lock);
    for (int i = 0; i < THREADS; i++)
        (void)sem_post(&is_locked);
    stand_still();
    hs_mutex_unlock(&hs_heap_arena()->lock);
}

static __attribute__((noinline)) void want_more_and_more(void)
{
    while (heapster_malloc(STEP_BYTES) != NULL)
        kit_put(kit_self->ops, kit_get(kit_self->ops) + 1);
}

/* All in one arena, which has to grow at some time, and that takes its lock. */
static void work_beside_a_lock(struct kit_thread *thread)
{
    kit_heapster.settle(NULL, thread->run->home);
    kit_doing(thread, KIT_MALLOC, STEP_BYTES);
    if (thread->index == HOLDER)
        keep_the_lock();
    (void)sem_post(&has_settled);
    await(&is_locked);
    want_more_and_more();
}

/* ---- the child -----------------------------------------------------------------------------------------------------
 */

static struct kit_allocator allocator_of(const char *place)
{
    struct kit_allocator allocator = kit_heapster;

    if (strcmp(place, "heap") != 0)
        return hanging_allocator(strcmp(place, "main") == 0);
    allocator.self = kit_heapster_self;
    allocator.held_locks = kit_heapster_held_locks;
    return allocator;
}

static _Noreturn void run_child(const char *place, int report)
{
    static struct kit_result result;
    bool is_heap = strcmp(place, "heap") == 0;
    struct kit_scenario scenario = {
        .name = "hangs", .blocks_of_thread = 64, .work = is_heap ? work_beside_a_lock : work_with_it};
    struct kit_config config = {.threads = THREADS,
                                .seconds = 1000,
                                .ops = strcmp(place, "main") == 0 ? 2000 : 0,
                                .seed = 1,
                                .hang_seconds = 2,
                                .check_every = 500,
                                .quiet = true,
                                .reproduce = "this command",
                                .strategy_name = "-"};
    struct kit_allocator allocator = allocator_of(place);

    if (dup2(report, STDERR_FILENO) < 0 || sem_init(&has_settled, 0, 0) != 0 || sem_init(&is_locked, 0, 0) != 0)
        _exit(EXIT_USAGE);
    kit_violation_catch_signals();
    kit_run(&config, &scenario, &allocator, &result);
    _exit(0);
}

static int run_in(const char *place, char *report)
{
    size_t length = 0;
    int ends[2], status;
    ssize_t got;
    pid_t child;

    if (pipe(ends) != 0)
        return -1;
    child = fork();
    if (child == 0)
        run_child(place, ends[1]);
    (void)close(ends[1]);
    while (length < REPORT_BYTES - 1 && (got = read(ends[0], report + length, REPORT_BYTES - 1 - length)) > 0)
        length += (size_t)got;
    report[length] = '\0';
    (void)close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

/* ---- the report ----------------------------------------------------------------------------------------------------
 */

static int failures;

static void expect(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void expect(bool holds, const char *format, ...)
{
    va_list arguments;

    if (holds)
        return;
    failures++;
    va_start(arguments, format);
    (void)printf("failed: ");
    (void)vprintf(format, arguments);
    (void)printf("\n");
    va_end(arguments);
}

/* From the line that begins so to the next line that is indented no further. */
static const char *section_of(const char *report, const char *name)
{
    static char section[REPORT_BYTES];
    char beginning[64];
    const char *from, *to;

    (void)snprintf(beginning, sizeof beginning, "\n  %s:", name);
    from = strstr(report, beginning);
    section[0] = '\0';
    if (from == NULL)
        return section;
    for (to = strchr(from + 1, '\n'); to != NULL && strncmp(to, "\n    ", 5) == 0; to = strchr(to + 1, '\n'))
        ;
    (void)snprintf(section, sizeof section, "%.*s\n", to != NULL ? (int)(to - from) : (int)strlen(from), from);
    return section;
}

static bool is_silent(const char *section)
{
    return strstr(section, "\n    no stack: the thread did not answer\n") != NULL;
}

static void expect_stack(const char *report, const char *name, const char *function, bool may_be_silent)
{
    const char *section = section_of(report, name);

    expect(section[0] != '\0', "%s is in the report", name);
    if (kit_stack_is_known && !(may_be_silent && is_silent(section)))
        expect(strstr(section, function) != NULL, "%s stands in %s", name, function);
}

static void expect_held(const char *report, const char *name, const char *lock)
{
    const char *held;
    char line[64];

    (void)snprintf(line, sizeof line, "\n    holds: %s\n", lock);
    expect(strstr(section_of(report, name), line) != NULL, "%s holds %s", name, lock);
    held = strstr(report, line);
    expect(held != NULL && strstr(held + 1, line) == NULL, "nobody else holds %s", lock);
}

static void expect_waiting(const char *report, const char *function)
{
    for (unsigned i = 0; i < THREADS; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "thread %u", i);
        if (i != HOLDER)
            expect_stack(report, name, function, who_waits_is_silent);
    }
}

static void judge(const char *place, const char *report)
{
    static const char violation[] = "heapster-stress: VIOLATION: hang: ";
    const char *found = strstr(report, violation), *end = strstr(report, "\n  reproduce: this command\n");

    expect(found != NULL && strstr(found + 1, violation) == NULL, "one hang is reported");
    expect(end != NULL && end[strlen("\n  reproduce: this command\n")] == '\0', "the command is the end of the report");
    if (strcmp(place, "main") == 0) {
        expect_held(report, "main thread", "the only lock");
        expect_stack(report, "main thread", "hanging_check", false);
        expect_stack(report, "main thread", "stand_still", false);
        expect_stack(report, "thread 0", "work at run.c", false);
    } else if (strcmp(place, "heap") == 0) {
        expect_held(report, "thread 1", "arena 0");
        expect_stack(report, "thread 1", "keep_the_lock", false);
        expect_stack(report, "main thread", "kit_monitor", false);
        expect_waiting(report, "hs_heap_allocate"); /* which heapster_malloc calls last, and so may leave no frame */
    } else {
        expect_held(report, "thread 1", "the only lock");
        expect_stack(report, "thread 1", "stand_still", false);
        expect_stack(report, "thread 1", "hanging_malloc", false);
        expect_stack(report, "main thread", "kit_monitor", false);
        expect_waiting(report, "hanging_malloc");
    }
    expect(strstr(report, "unknown thread") == NULL, "every holder is known");
}

/* ---- counters ------------------------------------------------------------------------------------------------------
 */

static struct kit_contention entries[HS_ARENA_FIRST_CLASS + 1];

static struct kit_contention entry_of(unsigned arena)
{
    unsigned count = kit_heapster_contention(NULL, entries, HS_ARENA_FIRST_CLASS + 1);

    for (unsigned i = 0; i < count; i++)
        if (entries[i].arena == arena)
            return entries[i];
    return (struct kit_contention){.arena = UINT_MAX};
}

static void *lock_once(void *context)
{
    hs_mutex_lock(context);
    hs_mutex_unlock(context);
    return NULL;
}

static void judge_counters(void)
{
    struct kit_contention before, after;
    struct hs_arena *own;
    heapster_arena *arena;
    pthread_t other;

    heapster_free(heapster_malloc(1));
    hs_cache_leave(); /* with a cache they take none */
    own = hs_heap_arena();
    heapster_free(heapster_malloc(1));
    before = entry_of(own->number);
    for (int i = 0; i < 100; i++)
        heapster_free(heapster_malloc(1));
    after = entry_of(own->number);
    expect(after.acquired >= before.acquired + 200 && after.contended == before.contended, "calls take locks");

    before = entry_of(HS_ARENA_LARGE);
    heapster_free(heapster_malloc((size_t)1 << 20));
    after = entry_of(HS_ARENA_LARGE);
    expect(after.acquired > before.acquired && after.acquired < before.acquired + 10, "large blocks have an entry");

    expect(entry_of(HS_ARENA_FIRST_CLASS).arena != HS_ARENA_FIRST_CLASS, "no first-class arena, no entry");
    arena = heapster_arena_create(NULL);
    heapster_free(heapster_arena_malloc(arena, 1));
    expect(entry_of(HS_ARENA_FIRST_CLASS).acquired > 0, "first-class arenas have an entry");
    heapster_arena_destroy(arena);
    expect(kit_heapster_contention(NULL, entries, 1) == 1 && entries[0].arena == 0, "there is room for one");

    /* The other thread mostly comes while the lock is held, and sooner or later it does. */
    before = entry_of(own->number);
    do {
        bool is_made;

        is_made = pthread_create(&other, NULL, lock_once, &own->lock) == 0;
        hs_mutex_lock(&own->lock);
        (void)usleep(1000);
        hs_mutex_unlock(&own->lock);
        if (!is_made || pthread_join(other, NULL) != 0)
            break;
        after = entry_of(own->number);
    } while (after.contended == before.contended);
    expect(after.contended > before.contended && after.contended < after.acquired, "who waits is counted");
}

static bool is_place(const char *name)
{
    return strcmp(name, "call") == 0 || strcmp(name, "heap") == 0 || strcmp(name, "main") == 0;
}

int main(int argc, char **argv)
{
    static char report[REPORT_BYTES];
    int status;

    if (argc == 2 && strcmp(argv[1], "counters") == 0) {
        judge_counters();
        return failures == 0 ? 0 : 1;
    }
    if (argc != 2 || !is_place(argv[1])) {
        (void)fputs("usage: kit-hangs call | heap | main | counters\n", stderr);
        return EXIT_USAGE;
    }
    status = run_in(argv[1], report);
    (void)printf("%s: status %d; report:\n%s\n", argv[1], status, report);
    expect(status == 1, "status 1");
    judge(argv[1], report);
    return failures == 0 ? 0 : 1;
}
