#include "life_first.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heapster.h"
#include "pattern.h"
#include "violation.h"

enum { ALIGNMENT = 256, THREADS = 4, THREAD_BYTES = 300 };

struct functions {
    void *(*malloc)(size_t bytes);
    void *(*calloc)(size_t count, size_t bytes);
    void *(*realloc)(void *ptr, size_t bytes);
    void *(*aligned_alloc)(size_t alignment, size_t bytes);
    void *(*memalign)(size_t alignment, size_t bytes);
    int (*posix_memalign)(void **out, size_t alignment, size_t bytes);
    void (*free)(void *ptr);
    size_t (*usable_size)(void *ptr);
};

static size_t heapster_size(void *ptr)
{
    return heapster_usable_size(ptr);
}

static const struct functions heapsters = {
    heapster_malloc,   heapster_calloc,         heapster_realloc, heapster_aligned_alloc,
    heapster_memalign, heapster_posix_memalign, heapster_free,    heapster_size,
};

static const struct functions processes = {
    malloc, calloc, realloc, aligned_alloc, memalign, posix_memalign, free, malloc_usable_size,
};

static struct {
    const struct functions *functions;
    const char *name;
    unsigned char *block; /* NULL: the first call gave none */
    size_t bytes;
    uint64_t key;
} first;

static _Noreturn void fail(const char *what)
{
    kit_violation(NULL, NULL, "first call", "%s: %s", first.name, what);
}

/* What the call gave, and that it is the caller's from here on. */
static void accept(void *block, size_t alignment)
{
    if (block == NULL)
        fail("no memory");
    if ((uintptr_t)block % alignment != 0)
        fail("misaligned");
    first.block = block;
    kit_pattern_fill(block, 0, first.bytes, first.key);
}

static void call_malloc(void)
{
    accept(first.functions->malloc(first.bytes), 1);
}

static void call_calloc(void)
{
    void *block = first.functions->calloc(first.bytes, 1);

    if (block != NULL && kit_pattern_first_nonzero(block, first.bytes) != KIT_INTACT)
        fail("not zeroed");
    accept(block, 1);
}

static void call_realloc(void)
{
    accept(first.functions->realloc(NULL, first.bytes), 1);
}

static void call_aligned_alloc(void)
{
    first.bytes = (first.bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    accept(first.functions->aligned_alloc(ALIGNMENT, first.bytes), ALIGNMENT);
}

static void call_memalign(void)
{
    accept(first.functions->memalign(ALIGNMENT, first.bytes), ALIGNMENT);
}

static void call_posix_memalign(void)
{
    void *block = NULL;

    if (first.functions->posix_memalign(&block, ALIGNMENT, first.bytes) != 0)
        fail("refused");
    accept(block, ALIGNMENT);
}

static void call_free(void)
{
    first.functions->free(NULL);
}

static void call_usable_size(void)
{
    if (first.functions->usable_size(NULL) != 0)
        fail("of NULL is not 0");
}

static _Noreturn void live_in_child(void)
{
    (void)alarm(10);
    call_malloc();
    life_first_end();
    _exit(0);
}

static void call_fork(void)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        live_in_child();
    if (child < 0 || waitpid(child, &status, 0) != child)
        fail("no child");
    if (status != 0)
        fail("the child failed");
}

static void *race(void *argument)
{
    pthread_barrier_t *barrier = argument;
    unsigned char *block;

    (void)pthread_barrier_wait(barrier);
    block = first.functions->malloc(THREAD_BYTES);
    if (block == NULL)
        fail("no memory");
    kit_pattern_fill(block, 0, THREAD_BYTES, (uintptr_t)block);
    (void)pthread_barrier_wait(barrier);
    if (kit_pattern_mismatch(block, 0, THREAD_BYTES, (uintptr_t)block) != KIT_INTACT)
        fail("one block for two threads");
    first.functions->free(block);
    return NULL;
}

/* Several threads find an allocator that nobody has set up. */
static void call_in_threads(void)
{
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;

    (void)pthread_barrier_init(&barrier, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, race, &barrier) != 0)
            fail("no thread");
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_barrier_destroy(&barrier);
}

void life_first_call(bool of_heapster, uint64_t seed)
{
    static const size_t sizes[] = {1, 24, 500, 5000, 70000, (size_t)3 << 20};
    static const struct {
        const char *name;
        void (*make)(void);
    } calls[] = {
        {"malloc", call_malloc},     {"calloc", call_calloc},
        {"realloc", call_realloc},   {"aligned_alloc", call_aligned_alloc},
        {"memalign", call_memalign}, {"posix_memalign", call_posix_memalign},
        {"free", call_free},         {"usable_size", call_usable_size},
        {"fork", call_fork},         {"malloc in threads", call_in_threads},
    };
    unsigned count = sizeof calls / sizeof calls[0];

    first.functions = of_heapster ? &heapsters : &processes;
    first.name = calls[seed % count].name;
    first.bytes = sizes[seed / count % (sizeof sizes / sizeof sizes[0])];
    first.key = kit_pattern_key(seed, 0);
    calls[seed % count].make();
}

bool life_first_is_kept(void)
{
    return first.block != NULL;
}

void life_first_end(void)
{
    if (first.block == NULL)
        return;
    if (kit_pattern_mismatch(first.block, 0, first.bytes, first.key) != KIT_INTACT)
        fail("its block lost content");
    first.functions->free(first.block);
    first.block = NULL;
}
