/*
 * fork from a process whose threads allocate: the child has one thread and a whole heap, whatever the others were
 * doing. Every scenario runs in a child of its own, whose alarm ends a deadlock.
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, FORKS = 200, SLOTS = 20, STDIO_FORKS = 100 };

static atomic_bool stop;

/* ---- threads that allocate ------------------------------------------------------------------------------------- */

static size_t random_bytes(uint64_t *random)
{
    size_t bytes = (size_t)(next_random(random) % 2000);

    if (next_random(random) % 64 == 0)
        bytes *= 20;
    return next_random(random) % 512 == 0 ? bytes + ((size_t)1 << 19) : bytes;
}

static void *churn(void *context)
{
    heapster_arena *arena = context;
    void *blocks[SLOTS] = {NULL};
    uint64_t random = (uintptr_t)blocks | 1;

    while (!atomic_load(&stop)) {
        unsigned slot = (unsigned)(next_random(&random) % SLOTS);

        if (next_random(&random) % 4 == 0) {
            void *moved = heapster_realloc(blocks[slot], random_bytes(&random) + 1);

            blocks[slot] = moved;
        } else {
            heapster_free(blocks[slot]);
            blocks[slot] = arena != NULL ? heapster_arena_malloc(arena, random_bytes(&random))
                                         : heapster_malloc(random_bytes(&random));
        }
        /* More threads than processors: the one that forks is to have its turn. */
        if (next_random(&random) % 8 == 0)
            (void)sched_yield();
    }
    for (unsigned slot = 0; slot < SLOTS; slot++)
        heapster_free(blocks[slot]);
    return NULL;
}

static void start_threads(pthread_t *threads, unsigned count, void *(*body)(void *), void *context)
{
    atomic_store(&stop, false);
    for (unsigned i = 0; i < count; i++)
        REQUIRE(pthread_create(&threads[i], NULL, body, context) == 0);
}

static void stop_threads(const pthread_t *threads, unsigned count)
{
    atomic_store(&stop, true);
    for (unsigned i = 0; i < count; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
}

/* ---- children -------------------------------------------------------------------------------------------------- */

static void use_the_heap(void)
{
    static void *blocks[1000];

    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = heapster_malloc(i * 5);
        REQUIRE(blocks[i] != NULL);
        fill_pattern(blocks[i], i * 5, (unsigned)i);
    }
    heapster_free(heapster_malloc((size_t)1 << 20));
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        REQUIRE(holds_pattern(blocks[i], i * 5, (unsigned)i));
        heapster_free(blocks[i]);
    }
}

/* Nothing is in flight, and every byte of every region is accounted for. */
static void require_a_whole_heap(void)
{
    struct heapster_stats stats;
    struct complaints complaints = complaints_of(HEAPSTER_CHECK_AT_REST);

    if (complaints.count != 0)
        (void)hs_os_write(STDERR_FILENO, complaints.numbers, strlen(complaints.numbers));
    REQUIRE(complaints.count == 0);
    heapster_stats(&stats);
    REQUIRE(stats.free_bytes + stats.used_bytes + stats.cached_bytes - stats.large_bytes ==
            stats.region_bytes - stats.region_count * HS_REGION_OVERHEAD_BYTES);
}

static void live_in_the_child(void)
{
    (void)alarm(CHILD_SECONDS);
    require_a_whole_heap();
    use_the_heap();
    require_a_whole_heap();
}

static void fork_beside_threads(void *context)
{
    pthread_t threads[THREADS];

    (void)context;
    start_threads(threads, THREADS, churn, NULL);
    for (unsigned i = 0; i < FORKS; i++) {
        pid_t child = fork();

        if (child == 0) {
            live_in_the_child();
            _exit(0);
        }
        require_exit(child);
    }
    stop_threads(threads, THREADS);
    require_a_whole_heap();
}

static void child_allocates(void **state)
{
    (void)state;
    run_child_quietly(fork_beside_threads, NULL);
}

static void fork_in_the_child(void *context)
{
    pthread_t threads[THREADS];

    (void)context;
    start_threads(threads, THREADS, churn, NULL);
    for (unsigned i = 0; i < 20; i++) {
        pid_t child = fork();

        if (child == 0) {
            pid_t grandchild = fork();

            if (grandchild == 0) {
                live_in_the_child();
                _exit(0);
            }
            live_in_the_child();
            require_exit(grandchild);
            _exit(0);
        }
        require_exit(child);
    }
    stop_threads(threads, THREADS);
}

static void child_forks_again(void **state)
{
    (void)state;
    run_child_quietly(fork_in_the_child, NULL);
}

/* ---- threads in the child -------------------------------------------------------------------------------------- */

static void fork_and_start_threads(void *context)
{
    pthread_t threads[THREADS];
    pid_t child;

    (void)context;
    use_the_heap();
    child = fork();
    if (child == 0) {
        start_threads(threads, THREADS, churn, NULL);
        for (unsigned i = 0; i < 20; i++)
            use_the_heap();
        stop_threads(threads, THREADS);
        require_a_whole_heap();
        _exit(0);
    }
    require_exit(child);
}

static void child_starts_threads(void **state)
{
    (void)state;
    run_child_quietly(fork_and_start_threads, NULL);
}

/* ---- first-class arenas ---------------------------------------------------------------------------------------- */

static void fork_with_arenas(void *context)
{
    static _Alignas(16) char buffer[65536];
    struct heapster_arena_config config = {.buffer = buffer, .buffer_bytes = sizeof buffer};
    heapster_arena *mapped = heapster_arena_create(NULL), *on_buffer = heapster_arena_create(&config);
    char *kept = heapster_arena_malloc(on_buffer, 1000), *large = heapster_arena_malloc(mapped, (size_t)1 << 20);
    pthread_t threads[THREADS];

    (void)context;
    fill_pattern(kept, 1000, 1);
    fill_pattern(large, (size_t)1 << 20, 2);
    start_threads(threads, THREADS, churn, mapped);
    for (unsigned i = 0; i < 50; i++) {
        pid_t child = fork();

        if (child == 0) {
            live_in_the_child();
            REQUIRE(holds_pattern(kept, 1000, 1) && holds_pattern(large, (size_t)1 << 20, 2));
            heapster_free(kept);
            REQUIRE(heapster_arena_malloc(on_buffer, 10000) != NULL);
            REQUIRE(heapster_arena_malloc(mapped, 10000) != NULL);
            REQUIRE(heapster_arena_create(NULL) != NULL);
            heapster_arena_destroy(on_buffer);
            heapster_arena_destroy(mapped);
            require_a_whole_heap();
            _exit(0);
        }
        require_exit(child);
    }
    stop_threads(threads, THREADS);
    heapster_arena_destroy(on_buffer);
    heapster_arena_destroy(mapped);
    require_a_whole_heap();
}

static void first_class_arenas_survive(void **state)
{
    (void)state;
    run_child_quietly(fork_with_arenas, NULL);
}

/* ---- stdio ----------------------------------------------------------------------------------------------------- */

static ssize_t write_and_allocate(void *cookie, const char *text, size_t bytes)
{
    (void)cookie;
    (void)text;
    heapster_free(heapster_malloc(bytes + 1000));
    return (ssize_t)bytes;
}

/* Holds stdio's list of streams, and allocates while it does. */
static void *flush_all(void *context)
{
    cookie_io_functions_t functions = {.write = write_and_allocate};
    FILE *stream = fopencookie(NULL, "w", functions);

    (void)context;
    REQUIRE(stream != NULL);
    while (!atomic_load(&stop)) {
        (void)fputc('x', stream);
        (void)fflush(NULL);
    }
    (void)fclose(stream);
    return NULL;
}

static void fork_beside_stdio(void *context)
{
    pthread_t threads[2];

    (void)context;
    start_threads(threads, 2, flush_all, NULL);
    for (unsigned i = 0; i < STDIO_FORKS; i++) {
        pid_t child = fork();

        if (child == 0) {
            live_in_the_child();
            _exit(0);
        }
        require_exit(child);
    }
    stop_threads(threads, 2);
}

static void no_deadlock_with_stdio(void **state)
{
    (void)state;
    run_child_quietly(fork_beside_stdio, NULL);
}

/* ---- a heap that is damaged already ---------------------------------------------------------------------------- */

/* An overflow that nobody has noticed yet must not hang the child, nor make it run out of the region. */
static void fork_with_an_overwritten_tag(void *context)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    char *blocks[3];
    pid_t child;
    int status;

    for (unsigned i = 0; i < 3; i++)
        blocks[i] = heapster_arena_malloc(arena, 104);
    memset((char *)unforeseen((uintptr_t)blocks[1]) - 8, *(const int *)context, 8);
    child = fork();
    if (child == 0) {
        use_the_heap();
        _exit(0);
    }
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void sweep_stops_at_an_overwritten_tag(void **state)
{
    static int fillings[] = {0x00, 0xFF, 'A', 0x08};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(fillings); i++) {
        struct outcome outcome;

        run_child(&outcome, fork_with_an_overwritten_tag, &fillings[i]);
        assert_exits_with(&outcome, 0);
    }
}

/* ---- memory that the child does not get ------------------------------------------------------------------------ */

/* What drivers do to a block that a device writes to: its pages, tags among them, are not there in the child. */
static void fork_without_a_blocks_pages(void *context)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    char *block = heapster_arena_malloc(arena, 100000), *guard = heapster_arena_malloc(arena, 100000);
    size_t page = hs_os_page_bytes(), before = (uintptr_t)block % page;
    pid_t child;

    (void)context;
    REQUIRE(block != NULL && guard != NULL);
    REQUIRE(madvise(block - before, (before + 100000 + page - 1) & ~(page - 1), MADV_DONTFORK) == 0);
    child = fork();
    if (child == 0) {
        (void)alarm(CHILD_SECONDS);
        use_the_heap();
        _exit(0);
    }
    require_exit(child);
}

static void child_reads_no_tags_where_nothing_is_in_flight(void **state)
{
    (void)state;
    run_child_quietly(fork_without_a_blocks_pages, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_allocates),
        cmocka_unit_test(child_forks_again),
        cmocka_unit_test(child_starts_threads),
        cmocka_unit_test(first_class_arenas_survive),
        cmocka_unit_test(no_deadlock_with_stdio),
        cmocka_unit_test(sweep_stops_at_an_overwritten_tag),
        cmocka_unit_test(child_reads_no_tags_where_nothing_is_in_flight),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
