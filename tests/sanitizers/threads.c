/* Blocks that go from thread to thread. */
#include <pthread.h>
#include <string.h>

#include "faults.h"
#include "heapster.h"
#include "sync.h"

/* ---- a hand-over as it should be --------------------------------------------------------------------------------- */

enum { SLOTS = 16, HANDED = 1500 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *slots[SLOTS];
    size_t count;
} channel = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void send(char *block)
{
    (void)pthread_mutex_lock(&channel.lock);
    while (channel.count == SLOTS)
        (void)pthread_cond_wait(&channel.changed, &channel.lock);
    channel.slots[channel.count++] = block;
    (void)pthread_cond_broadcast(&channel.changed);
    (void)pthread_mutex_unlock(&channel.lock);
}

static char *receive(void)
{
    char *block;

    (void)pthread_mutex_lock(&channel.lock);
    while (channel.count == 0)
        (void)pthread_cond_wait(&channel.changed, &channel.lock);
    block = channel.slots[--channel.count];
    (void)pthread_cond_broadcast(&channel.changed);
    (void)pthread_mutex_unlock(&channel.lock);
    return block;
}

static size_t bytes_of(size_t number)
{
    return 1 + number * 37 % 700;
}

static void *produce(void *nothing)
{
    for (size_t i = 0; i < HANDED; i++) {
        char *block = heapster_malloc(bytes_of(i));

        memset(block, (int)(i % 100), bytes_of(i));
        send(block);
    }
    return nothing;
}

static void *consume(void *nothing)
{
    for (size_t i = 0; i < HANDED; i++) {
        char *block = receive();

        decide_by(block);
        *block = 1;
        heapster_free(block);
    }
    return nothing;
}

static void run(void *(*one)(void *), void *(*other)(void *), void *context)
{
    pthread_t threads[2];

    require(pthread_create(&threads[0], NULL, one, context) == 0, "a thread starts");
    require(pthread_create(&threads[1], NULL, other, context) == 0, "a thread starts");
    (void)pthread_join(threads[0], NULL);
    (void)pthread_join(threads[1], NULL);
}

/* Blocks that one thread made are freed by another one, come back, and are used anew. */
static void handed_over(void)
{
    run(produce, consume, NULL);
    run(consume, produce, NULL);
    require(heapster_check(HEAPSTER_CHECK_AT_REST, NULL, NULL) == 0, "the heap is sound");
}

/* Threads that have nothing in common but the heap, whose blocks change hands there. */
static void *churn(void *nothing)
{
    enum { BLOCKS = 64, ROUNDS = 1000 };
    char *blocks[BLOCKS] = {NULL};

    for (size_t i = 0; i < ROUNDS; i++) {
        char **slot = &blocks[i * 7 % BLOCKS];
        size_t bytes = i % 100 == 0 ? 140000 : bytes_of(i);

        if (*slot != NULL && i % 3 == 0) {
            *slot = heapster_realloc(*slot, bytes);
        } else {
            heapster_free(*slot);
            *slot = heapster_malloc(bytes);
        }
        memset(*slot, 1, bytes);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        heapster_free(blocks[i]);
    return nothing;
}

static void reused(void)
{
    for (int round = 0; round < 3; round++)
        run(churn, churn, NULL);
    (void)heapster_trim(0);
    require(heapster_check(HEAPSTER_CHECK_AT_REST, NULL, NULL) == 0, "the heap is sound");
}

/* ---- and as it should not be ------------------------------------------------------------------------------------- */

static void *write_first(void *block)
{
    ++*(volatile char *)block; /* fault */
    return NULL;
}

static void *write_second(void *block)
{
    ++*(volatile char *)block; /* fault */
    return NULL;
}

static void race(void)
{
    char *block = heapster_calloc(1, 64);

    run(write_first, write_second, block);
    heapster_free(block);
}

/* A block that had other owners before, and is shared now. */
static void race_in_used_memory(void)
{
    handed_over();
    race();
}

static void race_in_large(void)
{
    char *block = heapster_calloc(1, (size_t)1 << 20);

    run(write_first, write_second, block);
    heapster_free(block);
}

/* A field that is atomic in the seam's eyes, and that somebody writes past the seam: what the annotations for helgrind
 * and drd would hide, ThreadSanitizer sees. */
static _Atomic uint32_t field;

static void *write_by_seam(void *nothing)
{
    hs_store_relaxed(&field, 1); /* fault */
    return nothing;
}

static void *write_past_seam(void *nothing)
{
    *(volatile uint32_t *)&field = 2; /* fault */
    return nothing;
}

static void race_past_seam(void)
{
    run(write_by_seam, write_past_seam, NULL);
}

static void *free_it(void *block)
{
    heapster_free(block);
    return NULL;
}

/* One thread frees what another one writes to, in no order. */
static void race_with_free(void)
{
    run(write_first, free_it, heapster_calloc(1, 64));
}

static void *use_freed(void *block)
{
    *(volatile char *)block = 1; /* fault */
    return NULL;
}

static void *do_nothing(void *block)
{
    return block;
}

static void freed_by_other_thread(void)
{
    char *block = heapster_calloc(1, 64);

    run(free_it, do_nothing, block);
    (void)use_freed(block);
}

#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }

const struct fault_case thread_cases[] = {
    CASE(handed_over),           CASE(reused),         CASE(race),
    CASE(race_in_used_memory),   CASE(race_in_large),  CASE(race_with_free),
    CASE(freed_by_other_thread), CASE(race_past_seam), {NULL, NULL},
};
