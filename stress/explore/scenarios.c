#include "scenarios.h"

#include <string.h>

/* Three preemptions with two threads, two with three. Loads that lag behind cost the most: none in the long ones. */
#define TWO                                                                                                            \
    {                                                                                                                  \
        3, 1, 0                                                                                                        \
    }
#define TWO_LONG                                                                                                       \
    {                                                                                                                  \
        3, 0, 0                                                                                                        \
    }
#define THREE                                                                                                          \
    {                                                                                                                  \
        2, 1, 0                                                                                                        \
    }

#define STRICT "@cache=off+arenas=1"
#define CACHED "@cache=on"

/* Blocks of 56 bytes and their tags are 64 bytes long and go to one exact list, 256 and more to lists that are
 * searched. */
const struct scenario scenarios[] = {
    {"free_free", "two neighbours are freed", "m0=56,m1=56,m2=56/f0/f1" STRICT, TWO},
    {"free_free_apart", "the same, of different lists", "m0=56,m1=120,m2=56/f0/f1" STRICT, TWO},
    {"free_free_listed", "the same, where the lists of both hold other blocks",
     "m0=56,m1=120,m2=56,m3=56,m4=56,m5=120,m6=56,f3,f5/f0/f1" STRICT, TWO},
    {"free_retake", "two neighbours are freed and taken again", "m0=56,m1=56,m2=56/f0,m0=56/f1,m1=56" STRICT, TWO},
    {"free_free_large", "the same, of lists that hold a range of sizes", "m0=280,m1=600,m2=56/f0/f1" STRICT, TWO},
    {"free_between", "two blocks are freed beside one that is free", "m0=56,m1=56,m2=56,m3=56,f1/f0/f2" STRICT, TWO},
    {"free_malloc", "a block is freed beside one that is taken", "m0=56,m1=56,m2=56,f0/f1/m0=56" STRICT, TWO},
    {"free_split", "a block is freed beside one that is split", "m0=280,m1=56,m2=56,f0/f1/m0=56" STRICT, TWO},
    {"malloc_malloc", "two threads split one free block", "m0=280,m1=56,f0/m0=56/m2=56" STRICT, TWO},
    {"malloc_same", "two threads want the only block of a list", "m0=56,m1=56,f0/m0=56/m2=56" STRICT, TWO},
    {"grow_free", "a block grows in place while its neighbour is freed", "m0=56,m1=120,m2=56/r0=120/f1" STRICT, TWO},
    {"grow_take", "a block grows in place while its free neighbour is taken",
     "m0=56,m1=120,m2=56,f1/r0=120/m1=120" STRICT, TWO},
    {"shrink_free", "a block shrinks while its neighbour is freed", "m0=280,m1=56,m2=56/r0=56/f1" STRICT, TWO},
    {"aligned_free", "an aligned block is cut out beside one that is freed",
     "m0=600,m1=56,m2=56,f0/a0=56x128/f1" STRICT, TWO},
    {"publish_publish", "malloc and free on both sides of a block", "m0=56,m1=56,m2=56,m3=56/f0,m0=24/f1,m1=24" STRICT,
     TWO},
    {"extend_free", "the arena grows at its end while the last block is freed",
     "m0=130000,m1=130000/f1/m2=200000" STRICT, TWO},
    {"first_calls", "the first call of the process, twice", "/m0=56/m1=56" STRICT, TWO},
    {"trim_free", "trimming while the last block is freed", "m0=130000,m1=56,m2=130000/t/f2" STRICT, TWO},
    {"walk_free", "the walker while a block is freed", "m0=56,m1=56,m2=56,f0/w/f1" STRICT, TWO},
    {"walk_shrink", "the walker while a block shrinks", "m0=280,m1=56/w/r0=56" STRICT, TWO},
    {"strategy_free", "the strategy changes while a block is freed", "m0=280,m1=56,m2=280,f2/g2/f0" STRICT, TWO},
    {"fork_free", "fork while a block is freed", "m0=56,m1=56,m2=56/k,m3=56/f1" STRICT, TWO},
    {"fork_malloc", "fork while a block is split", "m0=280,m1=56,f0/k,m3=56/m0=56" STRICT, TWO_LONG},
    {"large_resize", "a large block moves while another is freed", "m0=300000,m1=300000/r0=600000/f1" STRICT, TWO},
    {"large_frees", "two large blocks are freed", "m0=300000,m1=300000/f0/f1" STRICT "+large_cache=off", TWO},
    {"out_of_memory", "each call of the operating system may fail", "/m0=56,f0/m1=300000,f1" STRICT, {1, 0, 2}},
    {"out_of_memory_once", "the same, where one call may fail", "/m0=56,f0/m1=300000,f1" STRICT, {3, 0, 1}},
    {"no_growth",
     "an arena cannot grow while a claim is in flight",
     "m0=130000,m1=100000/f0/m2=120000" STRICT,
     {3, 1, 1}},

    {"trim_publish", "trimming while the block before the free end is freed and part of it taken",
     "m0=130000,m1=130000,m2=56,f1/t/f2,m2=24" STRICT, TWO},
    {"lookup", "an address of nobody's is looked up while a mapping is made there",
     "m0=300000,f0/m1=300000/l0" STRICT "+large_cache=off", TWO},
    {"fork_extend", "fork while an arena grows", "m0=130000,m1=130000/k,m3=56/m2=200000" STRICT, TWO_LONG},
    {"fork_grow", "fork while a block grows in place", "m0=56,m1=120,m2=56,f1/k,m3=56/r0=120" STRICT, TWO_LONG},
    {"fork_large", "fork while large blocks are made and freed", "m0=300000/k,m3=56/m1=300000,f0" STRICT, TWO},
    {"fork_trim", "fork while an arena is trimmed", "m0=130000,m1=130000,f1/k,m3=56/t" STRICT, TWO_LONG},
    {"fail_trim",
     "what trimming asks of the operating system fails",
     "m0=130000,m1=130000,f1/t,m1=130000/f0" STRICT,
     {3, 0, 2}},
    {"fail_large",
     "what large blocks ask of the operating system fails",
     "m0=300000/r0=600000,f0/m1=300000,f1" STRICT,
     {3, 0, 1}},
    {"fail_large_twice", "the same, where two calls may fail", "m0=300000/r0=600000,f0/m1=300000,f1" STRICT, {1, 0, 2}},
    {"fail_cached", "making caches fails", "/m0=56,f0/m1=56,f1" CACHED "+arenas=2", {1, 0, 1}},

    {"cached_pair", "two threads with caches of one arena", "m0=56/f0,m1=56/m2=56,f2" CACHED "+arenas=1", TWO},
    {"remote_free", "a block is freed by a thread of another arena while its own allocates",
     "m0=56,@2,m1=56/m2=56,f2/f0,e" CACHED "+arenas=2", TWO},
    {"remote_both", "two threads free each other's blocks", "m0=56,@2,m1=56/f1,e/f0,e" CACHED "+arenas=2", TWO},
    {"inbox_drain", "the inbox is taken while it is pushed to",
     "m0=56,m2=56,@2,m1=56/e,m3=56/f0,e,f2,e" CACHED "+arenas=2", TWO},
    {"flush_drain", "a cache is flushed while another drains its inbox",
     "m0=56,m3=56,@2,m1=56/f3,e/f0,e" CACHED "+arenas=2", TWO},
    {"exit_remote", "a thread ends while its block is freed from afar", "m0=56,@2,m1=56/x/f0,e" CACHED "+arenas=2",
     TWO},
    {"exit_exit", "two threads of one arena end", "m0=56,@2,m1=56/f0,x/f1,x" CACHED "+arenas=1", TWO},
    {"exit_enter", "a thread ends while another begins", "m0=56/f0,x/m1=56,f1" CACHED "+arenas=1", TWO},
    {"run_walk", "a run is cut while the walker looks", "m0=56/m1=56,m2=56/w" CACHED "+arenas=1", TWO},
    {"cached_fork", "fork while another thread's cache is filled",
     "m0=56,@2,m1=56/k,m3=56/f1,m2=120" CACHED "+arenas=1", TWO},
    {"remote_fork", "fork while a block is on its way to an inbox", "m0=56,@2,m1=56/k,m3=56/f0,e" CACHED "+arenas=2",
     TWO_LONG},

    {"batch_batch", "two caches give neighbours back", "m0=56,m1=56,m2=56,@2,m3=56/f0,e/f1,e" CACHED "+arenas=1", TWO},
    {"batch_batch_apart", "the same, to different lists", "m0=56,m1=200,m2=56,@2,m3=56/f0,e/f1,e" CACHED "+arenas=1",
     TWO},
    {"batch_walk", "a cache gives neighbours back while the walker looks",
     "m0=56,m1=56,m2=56/f0,f1,e/w" CACHED "+arenas=1", TWO},
    {"outbox_overflow", "an outbox is full while its arena's inbox is taken",
     "m0=9000,m1=9000,m2=9000,@2,m3=56/m4=9000,e/f0,f1,f2" CACHED "+arenas=2", TWO},
    {"many_remote", "many blocks are freed from afar while a thread of their arena takes what has come",
     "n0=40x70,@2,m1=56/m2=40,e/o0" CACHED "+arenas=2", TWO},
    {"many_fork", "fork beside a thread that has blocks of another arena to send",
     "n0=40x20,@2,m1=56/k,m2=40/o0,m3=56" CACHED "+arenas=2", TWO},
    {"first_caches", "the first call of the process, twice, with caches", "/m0=56/m1=56" CACHED "+arenas=2", TWO_LONG},
    {"fork_idle", "fork beside a thread that has a cache and does nothing", "@2,m1=56/k/m2=56,f2" CACHED, TWO},
    {"exit_trim", "a thread ends while another trims", "m0=56,m2=56,@2,m1=56/f0,x/t" CACHED "+arenas=1", TWO},
    {"enter_trim", "a thread's arena is made while another trims", "m0=56/t/m1=56" CACHED "+arenas=2", TWO},
    {"exit_fork", "fork while a thread ends", "m0=56,@2,m1=56/k,m3=56/f0,x" CACHED "+arenas=1", TWO},
    {"empty_fork", "fork while a cache is emptied", "m0=56,@2,m1=56,m2=56/k,m3=56/f1,f2,e" CACHED "+arenas=1",
     TWO_LONG},
    {"handler_fork", "fork, beside which a handler makes its thread's arena, while a cache is emptied",
     "@2,m0=56,m2=56/h56,m1=56/f0,e" CACHED "+arenas=2", TWO},
    {"trim_fork", "fork while a thread without a cache gives an inbox back",
     "m0=56,@2,m1=56,f0,e,f1,e,x/k,m3=56/t" CACHED "+arenas=2", TWO_LONG},

    {"three_frees", "three neighbours are freed", "m0=56,m1=56,m2=56,m3=56/f0/f1/f2" STRICT, THREE},
    {"free_malloc_free", "two blocks are freed on both sides of a request",
     "m0=56,m1=56,m2=56,m3=56,f1/f0/m1=56/f2" STRICT, THREE},
    {"three_mallocs", "three threads split one free block", "m0=600,m1=56,f0/m0=56/m2=56/m3=56" STRICT, THREE},
    {"two_remote", "two threads free blocks of a third's arena",
     "m0=56,m1=56,@2,m2=56,@3,m3=56/m4=56/f0,e/f1,e" CACHED "+arenas=3", THREE},
    {NULL, NULL, NULL, {0, 0, 0}},
};

const struct scenario *scenario_find(const char *name)
{
    for (const struct scenario *scenario = scenarios; scenario->name != NULL; scenario++)
        if (strcmp(scenario->name, name) == 0)
            return scenario;
    return NULL;
}
