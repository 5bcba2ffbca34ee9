/*
 * cache_support: what the tests of threads' caches share. Threads that do one thing after the other as they are told,
 * and looks into a cache.
 *
 * Each test runs in a child, and there in a thread of its own: its arena is one that nobody has used, and nothing but
 * the test calls its cache. So the code says REQUIRE.
 */
#ifndef TEST_CACHE_SUPPORT_H
#define TEST_CACHE_SUPPORT_H

#include <pthread.h>
#include <semaphore.h>

#include "cache_parts.h"
#include "support.h"

/* Runs `body` in a child, in a thread of its own; the child must succeed and print nothing. */
void run_in_thread(child_body *body, void *context);

/* The same for code that is in a child already. */
void be_a_thread(child_body *body, void *context);

/* ---- workers ----------------------------------------------------------------------------------------------------- */

/* A thread that waits between two tasks, its cache as the last one left it. */
struct worker {
    pthread_t thread;
    sem_t begin, done;
    child_body *task; /* NULL: the end */
    void *context;
    struct hs_cache *cache; /* after the first task */
};

void start_worker(struct worker *worker);
/* Has the worker run `task`, and waits for that. */
void let(struct worker *worker, child_body *task, void *context);
void end_worker(struct worker *worker);

/* Tasks. */
struct blocks {
    void **payloads;
    unsigned count;
    size_t bytes; /* of a request */
};
void take_blocks(void *blocks);
void take_blocks_inside_pages(void *blocks); /* whose tags lie in the same page: free takes others another way */
void free_blocks(void *blocks);

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* How many blocks of the class that serves such a request there are in the bin, and for how many it has room now. */
unsigned count_in_bin(const struct hs_cache *cache, size_t payload_bytes);
unsigned room_of_bin(const struct hs_cache *cache, size_t payload_bytes);
/* All bins together. */
unsigned count_in_bins(const struct hs_cache *cache);
size_t bytes_in_bins(const struct hs_cache *cache);

uint8_t state_of(const void *payload);
size_t block_bytes_of(const void *payload);

/* Of the calling thread. */
static inline bool i_have_a_cache(void)
{
    return hs_cache_self != &hs_cache_none;
}

struct heapster_stats stats_now(void);
/* How often any lock was taken so far, and how often since then. */
uint64_t locks_taken(void);
uint64_t locks_taken_since(uint64_t before);

void require_sound(void);

#endif
