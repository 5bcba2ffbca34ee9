#include "cache_support.h"

#include <unistd.h>

/* ---- threads ----------------------------------------------------------------------------------------------------- */

struct job {
    child_body *body;
    void *context;
};

static void *run_job(void *context)
{
    const struct job *job = context;

    job->body(job->context);
    return NULL;
}

void be_a_thread(child_body *body, void *context)
{
    struct job job = {body, context};
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, run_job, &job) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
}

static void run_thread_of_child(void *context)
{
    const struct job *job = context;

    be_a_thread(job->body, job->context);
    require_sound();
}

void run_in_thread(child_body *body, void *context)
{
    struct job job = {body, context};

    run_child_quietly(run_thread_of_child, &job);
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        REQUIRE(errno == EINTR);
}

static void *work(void *context)
{
    struct worker *worker = context;

    for (;;) {
        wait_for(&worker->begin);
        if (worker->task == NULL)
            return NULL;
        worker->task(worker->context);
        worker->cache = hs_cache_self;
        REQUIRE(sem_post(&worker->done) == 0);
    }
}

void start_worker(struct worker *worker)
{
    REQUIRE(sem_init(&worker->begin, 0, 0) == 0 && sem_init(&worker->done, 0, 0) == 0);
    REQUIRE(pthread_create(&worker->thread, NULL, work, worker) == 0);
}

void let(struct worker *worker, child_body *task, void *context)
{
    worker->task = task;
    worker->context = context;
    REQUIRE(sem_post(&worker->begin) == 0);
    wait_for(&worker->done);
}

void end_worker(struct worker *worker)
{
    worker->task = NULL;
    REQUIRE(sem_post(&worker->begin) == 0);
    REQUIRE(pthread_join(worker->thread, NULL) == 0);
    REQUIRE(sem_destroy(&worker->begin) == 0 && sem_destroy(&worker->done) == 0);
}

void take_blocks(void *context)
{
    const struct blocks *blocks = context;

    for (unsigned i = 0; i < blocks->count; i++) {
        blocks->payloads[i] = heapster_malloc(blocks->bytes);
        REQUIRE(blocks->payloads[i] != NULL);
    }
}

void take_blocks_inside_pages(void *context)
{
    const struct blocks *blocks = context;

    for (unsigned i = 0; i < blocks->count; i++) {
        do
            blocks->payloads[i] = heapster_malloc(blocks->bytes);
        while (!hs_cache_may_read_tag(blocks->payloads[i])); /* few, and lost */
        REQUIRE(blocks->payloads[i] != NULL);
    }
}

void free_blocks(void *context)
{
    const struct blocks *blocks = context;

    for (unsigned i = 0; i < blocks->count; i++)
        heapster_free(blocks->payloads[i]);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static unsigned count_of_class(const struct hs_cache *cache, unsigned index)
{
    if (cache == &hs_cache_none)
        return 0;
    return (unsigned)(hs_load_relaxed(&cache->bins[index].top) - hs_load_relaxed(&cache->records[index].base));
}

unsigned count_in_bin(const struct hs_cache *cache, size_t payload_bytes)
{
    return count_of_class(cache, hs_class_for(hs_block_bytes_for(payload_bytes)));
}

unsigned room_of_bin(const struct hs_cache *cache, size_t payload_bytes)
{
    unsigned index = hs_class_for(hs_block_bytes_for(payload_bytes));

    return (unsigned)(cache->bins[index].full - hs_load_relaxed(&cache->records[index].base));
}

unsigned count_in_bins(const struct hs_cache *cache)
{
    unsigned count = 0;

    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++)
        count += count_of_class(cache, i);
    return count;
}

size_t bytes_in_bins(const struct hs_cache *cache)
{
    size_t bytes = 0;

    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++)
        bytes += count_of_class(cache, i) * hs_class_bytes(i);
    return bytes;
}

uint8_t state_of(const void *payload)
{
    return hs_block_state(hs_block_of(payload));
}

size_t block_bytes_of(const void *payload)
{
    return hs_block_bytes(hs_block_of(payload));
}

struct heapster_stats stats_now(void)
{
    struct heapster_stats stats;

    heapster_stats(&stats);
    return stats;
}

static void add_taken(const struct hs_lock *lock, void *context)
{
    uint64_t *sum = context;

    *sum += hs_load_relaxed(&lock->mutex->acquired);
}

uint64_t locks_taken(void)
{
    uint64_t sum = 0;

    hs_heap_for_each_lock(add_taken, &sum);
    return sum;
}

uint64_t locks_taken_since(uint64_t before)
{
    uint64_t now = locks_taken(), again = locks_taken();

    return now - before - (again - now); /* looking takes locks, too */
}

void require_sound(void)
{
    struct complaints complaints = complaints_of(HEAPSTER_CHECK_AT_REST);

    if (complaints.count != 0)
        (void)hs_os_write(STDERR_FILENO, complaints.numbers, strlen(complaints.numbers));
    REQUIRE(complaints.count == 0);
}
