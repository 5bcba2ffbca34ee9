/*
 * Fork handlers of others that allocate. Those registered before the heap's own run while the forking thread holds
 * every lock of the heap; those registered after it run with none held. Both must be able to allocate.
 */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, FORKS = 50 };

struct handlers {
    unsigned prepared, in_parent, in_child;
    void *kept[3]; /* allocated by one handler, freed by the same one the next time */
};

static struct handlers before, after;

/* Small, large enough to make the arena grow, and large. */
static void allocate(void **kept)
{
    static const size_t sizes[] = {50, 100000, (size_t)1 << 20};

    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        char *block = heapster_malloc(sizes[i]);

        REQUIRE(block != NULL);
        fill_pattern(block, 50, i);
        block = heapster_realloc(block, sizes[i] * 2);
        REQUIRE(block != NULL && holds_pattern(block, 50, i));
        heapster_free(block);
    }
    heapster_arena_destroy(heapster_arena_create(NULL));
    heapster_free(*kept);
    *kept = heapster_malloc(300);
    REQUIRE(*kept != NULL);
}

static void prepare_before(void)
{
    before.prepared++;
    allocate(&before.kept[0]);
}

static void parent_before(void)
{
    before.in_parent++;
    allocate(&before.kept[1]);
}

static void child_before(void)
{
    before.in_child++;
    allocate(&before.kept[2]);
}

static void prepare_after(void)
{
    after.prepared++;
    allocate(&after.kept[0]);
}

static void parent_after(void)
{
    after.in_parent++;
    allocate(&after.kept[1]);
}

static void child_after(void)
{
    after.in_child++;
    allocate(&after.kept[2]);
}

/* Before the constructors of the library, and so, where nothing else has allocated, before its own handlers. */
__attribute__((constructor(101))) static void register_early(void)
{
    (void)pthread_atfork(prepare_before, parent_before, child_before);
}

static void require_a_whole_heap(void)
{
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
}

static void fork_many_times(void)
{
    for (unsigned i = 0; i < FORKS; i++) {
        unsigned in_child = before.in_child;
        pid_t child = fork();

        if (child == 0) {
            (void)alarm(CHILD_SECONDS);
            REQUIRE(before.in_child == in_child + 1 && after.in_child == before.in_child - 1);
            require_a_whole_heap();
            _exit(0);
        }
        require_exit(child);
    }
}

static void fork_with_handlers(void *context)
{
    (void)context;
    after = (struct handlers){0};
    REQUIRE(pthread_atfork(prepare_after, parent_after, child_after) == 0);
    before.prepared = before.in_parent = 0;
    before.in_child = 1;
    fork_many_times();
    REQUIRE(before.prepared == FORKS && before.in_parent == FORKS);
    REQUIRE(after.prepared == FORKS && after.in_parent == FORKS);
}

static void fork_with_handlers_alone(void *context)
{
    fork_with_handlers(context);
    require_a_whole_heap();
}

static void handlers_may_allocate(void **state)
{
    (void)state;
    run_child_quietly(fork_with_handlers_alone, NULL);
}

static atomic_bool stop;

static void *churn(void *context)
{
    uint64_t random = (uintptr_t)&random | 1;

    (void)context;
    while (!atomic_load(&stop)) {
        void *one = heapster_malloc((size_t)(next_random(&random) % 3000));
        void *other = heapster_malloc((size_t)(next_random(&random) % 300000));

        heapster_free(one);
        heapster_free(other);
    }
    return NULL;
}

static void fork_with_handlers_beside_threads(void *context)
{
    pthread_t threads[THREADS];

    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, churn, NULL) == 0);
    fork_with_handlers(context);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    require_a_whole_heap();
}

static void handlers_may_allocate_beside_threads(void **state)
{
    (void)state;
    run_child_quietly(fork_with_handlers_beside_threads, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_may_allocate),
        cmocka_unit_test(handlers_may_allocate_beside_threads),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
