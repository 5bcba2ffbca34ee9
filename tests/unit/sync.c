/*
 * Mutexes: what each of them counts, who is said to hold it, and the list of all there are.
 */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "depot.h"
#include "heap.h"

enum { FORKS = 30, PATIENCE_MS = 20000 };

static uint64_t acquired(struct hs_mutex *mutex)
{
    return hs_load_relaxed(&mutex->acquired);
}

static uint64_t contended(struct hs_mutex *mutex)
{
    return hs_load_relaxed(&mutex->contended);
}

static const struct hs_thread *holder(struct hs_mutex *mutex)
{
    return hs_load_relaxed(&mutex->holder);
}

/* ---- another thread --------------------------------------------------------------------------------------------- */

struct other {
    struct hs_mutex *mutex;
    pthread_t handle;
    _Atomic pid_t id; /* once it is about to take the mutex */
    const struct hs_thread *self;
    const struct hs_thread *seen_holder; /* while it had the mutex */
    sem_t may_begin, has_it, give_it_back;
};

static pid_t own_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static void pass(struct timespec time)
{
    (void)nanosleep(&time, NULL);
}

/* Whether the kernel says that the thread sleeps. It has nothing left to sleep for but the mutex. */
static bool sleeps(pid_t id)
{
    char path[64], text[256] = "", *end;
    int file;

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)id);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    if (read(file, text, sizeof text - 1) < 0)
        text[0] = '\0';
    (void)close(file);
    end = strrchr(text, ')');
    return end != NULL && strncmp(end, ") S", 3) == 0;
}

/* Making a thread and ending it allocate, so the mutex is taken between the two. */
static void make_it_wait(struct other *other)
{
    (void)sem_post(&other->may_begin);
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (other->id != 0 && sleeps(other->id))
            return;
        pass((struct timespec){0, 1000000});
    }
    fail_msg("the other thread never waited");
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ; /* interrupted */
}

static void *lock_and_unlock(void *context)
{
    struct other *other = context;

    other->self = hs_thread();
    wait_for(&other->may_begin);
    other->id = own_id();
    hs_mutex_lock(other->mutex);
    other->seen_holder = holder(other->mutex);
    hs_mutex_unlock(other->mutex);
    return NULL;
}

static void *hold(void *context)
{
    struct other *other = context;

    other->self = hs_thread();
    hs_mutex_lock(other->mutex);
    (void)sem_post(&other->has_it);
    wait_for(&other->give_it_back);
    hs_mutex_unlock(other->mutex);
    return NULL;
}

static void start(struct other *other, void *(*body)(void *), struct hs_mutex *mutex)
{
    *other = (struct other){.mutex = mutex};
    assert_int_equal(sem_init(&other->may_begin, 0, 0), 0);
    assert_int_equal(sem_init(&other->has_it, 0, 0), 0);
    assert_int_equal(sem_init(&other->give_it_back, 0, 0), 0);
    assert_int_equal(pthread_create(&other->handle, NULL, body, other), 0);
}

static void finish(struct other *other)
{
    assert_int_equal(pthread_join(other->handle, NULL), 0);
    assert_int_equal(sem_destroy(&other->may_begin), 0);
    assert_int_equal(sem_destroy(&other->has_it), 0);
    assert_int_equal(sem_destroy(&other->give_it_back), 0);
}

/* ---- one mutex -------------------------------------------------------------------------------------------------- */

static void each_lock_is_counted(void **state)
{
    struct hs_mutex mutex;

    (void)state;
    hs_mutex_init(&mutex, HS_RANK_POOL);
    assert_int_equal(acquired(&mutex), 0);
    for (unsigned i = 1; i <= 1000; i++) {
        hs_mutex_lock(&mutex);
        assert_int_equal(acquired(&mutex), i);
        hs_mutex_unlock(&mutex);
    }
    assert_int_equal(acquired(&mutex), 1000);
    assert_int_equal(contended(&mutex), 0);
    hs_mutex_init(&mutex, HS_RANK_POOL);
    assert_int_equal(acquired(&mutex), 0);
}

static void the_holder_is_named_while_it_holds(void **state)
{
    struct hs_mutex mutex = HS_MUTEX_INITIALIZER(HS_RANK_POOL);
    struct other other;

    (void)state;
    assert_null(holder(&mutex));
    hs_mutex_lock(&mutex);
    assert_ptr_equal(holder(&mutex), hs_thread());
    hs_mutex_unlock(&mutex);
    assert_null(holder(&mutex));
    start(&other, hold, &mutex);
    wait_for(&other.has_it);
    assert_ptr_equal(holder(&mutex), other.self);
    assert_ptr_not_equal(other.self, hs_thread());
    (void)sem_post(&other.give_it_back);
    finish(&other);
    assert_null(holder(&mutex));
}

static void a_try_counts_where_it_succeeds(void **state) HS_NO_ANALYSIS
{
    struct hs_mutex mutex = HS_MUTEX_INITIALIZER(HS_RANK_POOL);
    struct other other;

    (void)state;
    start(&other, hold, &mutex);
    wait_for(&other.has_it);
    assert_int_equal(acquired(&mutex), 1);
    assert_false(hs_mutex_try_lock(&mutex));
    assert_ptr_equal(holder(&mutex), other.self);
    assert_int_equal(acquired(&mutex), 1);
    assert_int_equal(contended(&mutex), 0);
    (void)sem_post(&other.give_it_back);
    finish(&other);
    assert_true(hs_mutex_try_lock(&mutex));
    assert_ptr_equal(holder(&mutex), hs_thread());
    assert_int_equal(acquired(&mutex), 2);
    hs_mutex_unlock(&mutex);
    assert_null(holder(&mutex));
}

static void who_waits_is_counted(void **state)
{
    struct hs_mutex mutex = HS_MUTEX_INITIALIZER(HS_RANK_POOL);

    (void)state;
    for (unsigned i = 1; i <= 5; i++) {
        struct other other;

        start(&other, lock_and_unlock, &mutex);
        hs_mutex_lock(&mutex);
        make_it_wait(&other);
        assert_ptr_equal(holder(&mutex), hs_thread());
        hs_mutex_unlock(&mutex);
        finish(&other);
        assert_ptr_equal(other.seen_holder, other.self);
        assert_int_equal(acquired(&mutex), 2 * i);
        assert_int_equal(contended(&mutex), i);
        assert_null(holder(&mutex));
    }
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

struct survey {
    unsigned locks, held_by_us, held_by_others, first_class, depots;
    uint64_t acquired;
    size_t length;
    char names[32 * 1024];
};

static void note_lock(const struct hs_lock *lock, void *context)
{
    struct survey *survey = context;
    const struct hs_thread *its_holder = holder(lock->mutex);
    struct hs_text name;

    survey->locks++;
    survey->held_by_us += its_holder == hs_thread();
    survey->held_by_others += its_holder != NULL && its_holder != hs_thread();
    survey->first_class += lock->arena != NULL && lock->arena->number == HS_ARENA_FIRST_CLASS;
    survey->depots += lock->mutex->rank == HS_RANK_DEPOT;
    survey->acquired += acquired(lock->mutex);
    hs_text_clear(&name);
    hs_heap_lock_name(lock, &name);
    survey->length +=
        (size_t)snprintf(survey->names + survey->length, sizeof survey->names - survey->length, "%s\n", name.bytes);
    REQUIRE(survey->length < sizeof survey->names);
}

static struct survey *survey_locks(void)
{
    static struct survey survey;

    survey = (struct survey){0};
    hs_heap_for_each_lock(note_lock, &survey);
    return &survey;
}

static void every_lock_has_a_name(void **state)
{
    static const char *const names[] = {
        "\nheap\n",     "\narena 0\n", "\narena 0 list 0\n", "\narena 0 list 62\n",    "\nlarge blocks\n",
        "\noverlays\n", "\nbreak\n",   "\nregion map\n",     "\nregion descriptors\n", "\narena records\n",
        "\ndepots\n",
    };
    enum { OTHERS = 9, LOCKS_OF_ARENA = 1 + HS_LISTS };
    heapster_arena *arena;
    struct survey *survey;
    char expected[96];
    unsigned depots;

    (void)state;
    heapster_free(heapster_malloc(1));
    depots = hs_depot_of(hs_heap_arena()) != NULL; /* of a cache that was there before the option could be read */
    survey = survey_locks();
    assert_int_equal(survey->locks, OTHERS + depots + LOCKS_OF_ARENA);
    assert_int_equal(strstr(survey->names, "\ndepot of arena 0\n") != NULL, depots);
    assert_int_equal(lines_of(survey->names), survey->locks);
    assert_memory_equal(survey->names, "first call\n", strlen("first call\n"));
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strstr(survey->names, names[i]) == NULL)
            fail_msg("no name%s", names[i]);
    arena = heapster_arena_create(NULL);
    survey = survey_locks();
    assert_int_equal(survey->locks, OTHERS + depots + 2 * LOCKS_OF_ARENA + 1);
    (void)snprintf(expected, sizeof expected, "\nlarge blocks of first-class arena %p\n", (void *)arena);
    assert_non_null(strstr(survey->names, expected));
    (void)snprintf(expected, sizeof expected, "\nfirst-class arena %p list 7\n", (void *)arena);
    assert_non_null(strstr(survey->names, expected));
    heapster_arena_destroy(arena);
}

static void looking_waits_for_no_lock(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    struct survey *survey;
    struct other others[2];

    (void)state;
    start(&others[0], hold, hs_heap_lock());
    start(&others[1], hold, &hs_heap_arena()->lock);
    for (unsigned i = 0; i < 2; i++)
        wait_for(&others[i].has_it);
    survey = survey_locks();
    assert_int_equal(survey->held_by_others, 2);
    assert_int_equal(survey->first_class, 0);
    for (unsigned i = 0; i < 2; i++) {
        (void)sem_post(&others[i].give_it_back);
        finish(&others[i]);
    }
    survey = survey_locks();
    assert_int_equal(survey->held_by_others, 0);
    assert_true(survey->first_class > HS_LISTS);
    heapster_arena_destroy(arena);
}

/* From a signal handler, for one, whose thread may hold anything. */
static void looking_is_allowed_under_any_lock(void **state)
{
    struct hs_arena *arena = hs_heap_arena();
    struct survey *survey;

    (void)state;
    hs_arena_lock_all(arena);
    survey = survey_locks();
    hs_arena_unlock_all(arena);
    assert_int_equal(survey->held_by_us, 1 + HS_LISTS);
    hs_mutex_lock(hs_heap_lock());
    survey = survey_locks();
    hs_mutex_unlock(hs_heap_lock());
    assert_int_equal(survey->held_by_us, 1);
    assert_int_equal(survey_locks()->held_by_us, 0);
}

/* ---- fork ------------------------------------------------------------------------------------------------------- */

static atomic_bool stop;
static unsigned held_in_prepare;
static uint64_t acquired_before_fork;
static heapster_arena *left_by_prepare;
static bool runs_among_locks; /* look_in_prepare */

static void *churn(void *context)
{
    (void)context;
    while (!atomic_load(&stop)) {
        void *small = heapster_malloc(100), *large = heapster_malloc((size_t)1 << 20);

        heapster_free(small);
        heapster_free(large);
    }
    return NULL;
}

static void require_held_or_not(const struct hs_lock *lock, void *context)
{
    (void)context;
    REQUIRE((holder(lock->mutex) == hs_thread()) == runs_among_locks);
}

static void require_all_held_or_none(void)
{
    hs_heap_for_each_lock(require_held_or_not, NULL);
}

static void look_in_prepare(void)
{
    struct survey *survey;
    heapster_arena *made[2];

    require_all_held_or_none();
    heapster_free(heapster_malloc(100)); /* passes all locks, but may make some, as a first call does */
    require_all_held_or_none();
    for (unsigned i = 0; i < COUNT_OF(made); i++)
        made[i] = heapster_arena_create(NULL);
    require_all_held_or_none();
    heapster_arena_destroy(made[0]); /* what is destroyed is used again at the next fork */
    require_all_held_or_none();
    left_by_prepare = made[1];
    survey = survey_locks();
    held_in_prepare = survey->held_by_us;
    acquired_before_fork = survey->acquired;
    heapster_free(heapster_malloc(100));
    REQUIRE(survey_locks()->held_by_us == held_in_prepare);
    REQUIRE((survey_locks()->acquired == acquired_before_fork) == runs_among_locks);
}

/* Before anything allocates, which registers the heap's own handler: that of prepare then runs first. But musl's
 * pthread_atfork allocates, so that nobody comes before the heap there. */
__attribute__((constructor(101))) static void register_early(void)
{
    (void)pthread_atfork(look_in_prepare, NULL, NULL);
    runs_among_locks = !hs_load_acquire(&hs_heap_is_ready);
}

static void live_in_the_child(void)
{
    struct survey *survey = survey_locks();
    uint64_t before = survey->acquired;

    REQUIRE(survey->held_by_us == 0 && survey->held_by_others == 0);
    REQUIRE(before >= acquired_before_fork);
    heapster_free(heapster_malloc(100));
    survey = survey_locks();
    REQUIRE(survey->acquired > before && survey->held_by_us == 0);
}

static void fork_beside_others(void *context)
{
    pthread_t threads[3];

    (void)context;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        REQUIRE(pthread_create(&threads[i], NULL, churn, NULL) == 0);
    for (unsigned i = 0; i < FORKS; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            live_in_the_child();
            _exit(0);
        }
        REQUIRE(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        REQUIRE(held_in_prepare >= (runs_among_locks ? HS_LISTS + 8U : 0U));
        REQUIRE(survey_locks()->held_by_us == 0);
        heapster_arena_destroy(left_by_prepare);
        pass((struct timespec){0, 1000000});
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    REQUIRE(survey_locks()->held_by_others == 0);
}

static void after_fork_nobody_holds_anything(void **state)
{
    (void)state;
    run_child_quietly(fork_beside_others, NULL);
}

/* The handler's call is the first one of this thread: it makes the depot of an arena that had none. */
static void *fork_before_any_call(void *context)
{
    unsigned *made = context, before = survey_locks()->depots;
    pid_t child = fork();

    if (child == 0) {
        live_in_the_child();
        _exit(0);
    }
    require_exit(child);
    REQUIRE(survey_locks()->held_by_us == 0);
    *made = survey_locks()->depots - before;
    return NULL;
}

/* Of this program, run again with more than one arena. */
static int fork_in_a_new_thread(void)
{
    pthread_t thread;
    unsigned made;

    heapster_free(heapster_malloc(100));
    REQUIRE(pthread_create(&thread, NULL, fork_before_any_call, &made) == 0 && pthread_join(thread, NULL) == 0);
    REQUIRE(made == has_cache());
    return 0;
}

static void what_is_made_beside_a_fork_is_held(void **state)
{
    struct outcome outcome;

    (void)state;
    run_again(&outcome, "--fork-in-a-new-thread", "arenas=4");
    assert_quiet_success(&outcome);
}

/* ---- statistics ------------------------------------------------------------------------------------------------- */

static struct heapster_stats stats_now(void)
{
    struct heapster_stats stats;

    heapster_stats(&stats);
    return stats;
}

/* Each reading of the statistics takes each lock once. */
static uint64_t cost_of_reading(const struct heapster_stats *stats)
{
    return stats->arena_count * (1 + HS_LISTS) + 1;
}

static void statistics_count_locks(void **state)
{
    struct heapster_stats before = stats_now(), after = stats_now();
    void *block;

    (void)state;
    assert_int_equal(after.lock_acquisitions - before.lock_acquisitions, cost_of_reading(&after));
    block = heapster_malloc(100);
    before = stats_now();
    assert_true(before.lock_acquisitions > after.lock_acquisitions + cost_of_reading(&after));
    heapster_free(block);
    after = stats_now();
    assert_true(after.lock_acquisitions > before.lock_acquisitions + cost_of_reading(&after));
    before = stats_now();
    heapster_free(heapster_malloc((size_t)1 << 20));
    after = stats_now();
    assert_true(after.lock_acquisitions >= before.lock_acquisitions + cost_of_reading(&after) + 2);
    assert_int_equal(after.lock_contentions, before.lock_contentions);
}

static void statistics_count_who_waits(void **state)
{
    struct hs_arena *arena = hs_heap_arena();
    struct hs_mutex *const locks[] = {&arena->lock, &arena->lists[5].lock, &hs_heap_large.lock};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(locks); i++) {
        uint64_t before = stats_now().lock_contentions;
        struct other other;

        start(&other, lock_and_unlock, locks[i]);
        hs_mutex_lock(locks[i]);
        make_it_wait(&other);
        hs_mutex_unlock(locks[i]);
        finish(&other);
        assert_int_equal(stats_now().lock_contentions, before + 1);
    }
}

static void counters_end_with_their_arena(void **state)
{
    struct heapster_stats before, during, after;
    heapster_arena *arena;

    (void)state;
    before = stats_now();
    arena = heapster_arena_create(NULL);
    for (unsigned i = 0; i < 100; i++)
        heapster_free(heapster_arena_malloc(arena, 100));
    during = stats_now();
    assert_true(during.lock_acquisitions >= before.lock_acquisitions + cost_of_reading(&during) + 200);
    heapster_arena_destroy(arena);
    after = stats_now();
    assert_int_equal(after.lock_acquisitions, before.lock_acquisitions + 2 * cost_of_reading(&after));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_lock_is_counted),
        cmocka_unit_test(the_holder_is_named_while_it_holds),
        cmocka_unit_test(a_try_counts_where_it_succeeds),
        cmocka_unit_test(who_waits_is_counted),
        cmocka_unit_test(every_lock_has_a_name),
        cmocka_unit_test(looking_waits_for_no_lock),
        cmocka_unit_test(looking_is_allowed_under_any_lock),
        cmocka_unit_test(after_fork_nobody_holds_anything),
        cmocka_unit_test(what_is_made_beside_a_fork_is_held),
        cmocka_unit_test(statistics_count_locks),
        cmocka_unit_test(statistics_count_who_waits),
        cmocka_unit_test(counters_end_with_their_arena),
    };

    if (argc == 2 && strcmp(argv[1], "--fork-in-a-new-thread") == 0)
        return fork_in_a_new_thread();
    return run_named(tests, COUNT_OF(tests), argc, argv);
}
