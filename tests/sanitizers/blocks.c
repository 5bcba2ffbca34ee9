/* What a program may do wrong, and right, with single blocks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "heapster.h"

enum { LARGE_BYTES = 1 << 20 };

/* 24 bytes fill a block: behind them stands the next tag. */
static void overflow(void)
{
    char *block = heapster_malloc(24);

    memset(block, 1, 24);
    block[unforeseen(24)] = 1; /* fault */
    heapster_free(block);
}

/* 20 bytes do not: behind them is padding. */
static void overflow_into_padding(void)
{
    char *block = heapster_malloc(20);

    memset(block, 1, 20);
    block[unforeseen(20)] = 1; /* fault */
    heapster_free(block);
}

/* To have asked for the usable size opens nothing. */
static void overflow_past_usable_size(void)
{
    char *block = heapster_malloc(20);

    block[heapster_usable_size(block)] = 1; /* fault */
    heapster_free(block);
}

static void overflow_of_nothing(void)
{
    char *block = heapster_malloc(unforeseen(0));

    block[0] = 1; /* fault */
    heapster_free(block);
}

static void overflow_when_read(void)
{
    char *block = heapster_calloc(1, 100);

    decide_by(block + 99);
    putchar(block[unforeseen(100)]); /* fault */
    heapster_free(block);
}

static void underflow(void)
{
    char *block = heapster_malloc(40);

    block[-(ptrdiff_t)unforeseen(1)] = 1; /* fault */
    heapster_free(block);
}

static void overflow_of_string(void)
{
    char *block = heapster_malloc(5);

    strcpy(block, unforeseen(1) != 0 ? "fives" : ""); /* fault */
    heapster_free(block);
}

/* The first word of a free block may be the allocator's. */
static void use_after_free(void)
{
    char *block = heapster_malloc(64);

    memset(block, 1, 64);
    heapster_free(block);
    decide_by(block + unforeseen(0));
}

/* Behind all that the allocator writes there. */
static void use_after_free_inside(void)
{
    char *block = heapster_malloc(200);

    memset(block, 1, 200);
    heapster_free(block);
    decide_by(block + unforeseen(150));
}

static void write_after_free(void)
{
    char *block = heapster_malloc(64);

    heapster_free(block);
    block[unforeseen(40)] = 1; /* fault */
}

static void use_after_realloc(void)
{
    char *block = heapster_calloc(1, 64), *behind = heapster_calloc(1, 64);
    char *moved = heapster_realloc(block, 64000);

    require(moved != NULL && moved != block, "it moves");
    *(volatile char *)block = 1; /* fault */
    heapster_free(moved);
    heapster_free(behind);
}

static void double_free(void)
{
    char *block = heapster_malloc(64);

    heapster_free(block);
    heapster_free(block);
}

static void double_free_large(void)
{
    char *block = heapster_malloc(LARGE_BYTES);

    heapster_free(block);
    heapster_free(block);
}

/* ---- what was never written -------------------------------------------------------------------------------------- */

static void uninitialised(void)
{
    char *block = heapster_malloc(64);

    decide_by(block + unforeseen(8));
    heapster_free(block);
}

/* Of a block that was full before it was freed. */
static void uninitialised_again(void)
{
    char *block = heapster_malloc(64);

    memset(block, 1, 64);
    heapster_free(block);
    block = heapster_malloc(64);
    decide_by(block + unforeseen(32));
    heapster_free(block);
}

static void uninitialised_end_after_realloc(void)
{
    char *block = heapster_calloc(1, 40);

    block = heapster_realloc(block, 400);
    decide_by(block + 39);
    decide_by(block + unforeseen(41));
    heapster_free(block);
}

/* The block stays where it is and has more bytes. */
static void uninitialised_end_in_place(void)
{
    char *block = heapster_calloc(1, 17), *same = heapster_realloc(block, 23);

    require(same == block, "it stays");
    decide_by(block + 16);
    decide_by(block + unforeseen(20));
    heapster_free(block);
}

static void uninitialised_large(void)
{
    char *block = heapster_malloc(LARGE_BYTES);

    decide_by(block + unforeseen(LARGE_BYTES / 2));
    heapster_free(block);
}

static void uninitialised_aligned(void)
{
    char *block = heapster_aligned_alloc(256, 300);

    decide_by(block + unforeseen(299));
    heapster_free(block);
}

/* ---- realloc, aligned, large ------------------------------------------------------------------------------------- */

static void overflow_after_shrinking(void)
{
    char *block = heapster_calloc(1, 2000);

    block = heapster_realloc(block, 1001);
    require(block != NULL, "there is memory");
    block[1000] = 1;
    block[unforeseen(1001)] = 1; /* fault */
    heapster_free(block);
}

static void overflow_after_growing(void)
{
    char *block = heapster_calloc(1, 18);

    block = heapster_realloc(block, 21);
    require(block != NULL, "there is memory");
    block[20] = 1;
    block[unforeseen(21)] = 1; /* fault */
    heapster_free(block);
}

static void overflow_of_aligned(void)
{
    char *block = heapster_aligned_alloc(4096, 100);

    block[99] = 1;
    block[unforeseen(100)] = 1; /* fault */
    heapster_free(block);
}

static void underflow_of_aligned(void)
{
    char *block = heapster_aligned_alloc(4096, 100);

    block[-(ptrdiff_t)unforeseen(1)] = 1; /* fault */
    heapster_free(block);
}

static void overflow_of_large(void)
{
    char *block = heapster_malloc(LARGE_BYTES + 5);

    block[LARGE_BYTES + 4] = 1;
    block[unforeseen(LARGE_BYTES + 5)] = 1; /* fault */
    heapster_free(block);
}

static void underflow_of_large(void)
{
    char *block = heapster_malloc(LARGE_BYTES);

    block[-(ptrdiff_t)unforeseen(64)] = 1; /* fault */
    heapster_free(block);
}

static void use_after_free_of_large(void)
{
    char *block = heapster_malloc(LARGE_BYTES);

    memset(block, 1, LARGE_BYTES);
    heapster_free(block);
    *(volatile char *)(block + 5) = 1; /* fault */
}

static void overflow_after_shrinking_large(void)
{
    char *block = heapster_malloc((size_t)4 * LARGE_BYTES);

    block = heapster_realloc(block, LARGE_BYTES + 1);
    require(block != NULL, "there is memory");
    block[LARGE_BYTES] = 1;
    block[unforeseen(LARGE_BYTES + 1)] = 1; /* fault */
    heapster_free(block);
}

/* ---- leaks ------------------------------------------------------------------------------------------------------- */

static void __attribute__((noinline)) lose_block(void)
{
    char *block = heapster_malloc(77); /* leak */

    memset(block, 1, 77);
}

static void __attribute__((noinline)) overwrite_stack(void)
{
    volatile char filler[4096];

    for (size_t i = 0; i < sizeof filler; i++)
        filler[i] = 0;
}

static void leak(void)
{
    lose_block();
    overwrite_stack();
}

static void *volatile *kept;

/* libc's memory that only a block of Heapster's points to. */
static void __attribute__((noinline)) keep_in_block(size_t bytes)
{
    kept = heapster_calloc(1, bytes);
    kept[unforeseen(2)] = malloc(66);
}

static void no_leak_behind_block(void)
{
    keep_in_block(64);
    overwrite_stack();
}

static void no_leak_behind_large(void)
{
    keep_in_block(LARGE_BYTES);
    overwrite_stack();
}

static void no_leak_behind_resized(void)
{
    keep_in_block(LARGE_BYTES);
    kept = heapster_realloc((void *)kept, (size_t)3 * LARGE_BYTES);
    kept = heapster_realloc((void *)kept, LARGE_BYTES / 2);
    overwrite_stack();
}

/* Freed, the block keeps nothing alive any more. */
static void leak_behind_freed(void)
{
    keep_in_block(64);
    heapster_free((void *)kept);
    overwrite_stack();
}

/* ---- nothing wrong ----------------------------------------------------------------------------------------------- */

static void calloc_is_initialised(void)
{
    static const size_t sizes[] = {1, 24, 100, 5000, LARGE_BYTES, (size_t)8 * LARGE_BYTES};

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            char *block = heapster_malloc(sizes[i]);

            memset(block, 1, sizes[i]);
            heapster_free(block);
            block = heapster_calloc(1, sizes[i]);
            require(block[0] == 0 && block[sizes[i] / 2] == 0 && block[sizes[i] - 1] == 0, "calloc zeroes");
            heapster_free(block);
        }
    }
}

static void realloc_keeps_content(void)
{
    static const size_t sizes[] = {10,          20,   24, 100, 90, 3000, LARGE_BYTES, (size_t)5 * LARGE_BYTES,
                                   LARGE_BYTES, 2000, 7};
    size_t bytes = 1;
    char *block = heapster_malloc(bytes);

    *block = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        block = heapster_realloc(block, sizes[i]);
        require(block != NULL, "there is memory");
        for (size_t at = 0; at < (bytes < sizes[i] ? bytes : sizes[i]); at++)
            require(block[at] == (char)(at % 100), "realloc keeps what was there");
        for (size_t at = bytes; at < sizes[i]; at++)
            block[at] = (char)(at % 100);
        bytes = sizes[i];
        require(heapster_usable_size(block) >= bytes, "usable size");
    }
    heapster_free(block);
}

static void usable_size_may_be_used(void)
{
    for (size_t bytes = 1; bytes < 2000; bytes += 7) {
        char *block = heapster_malloc(bytes);

        memset(block, 1, heapster_usable_size(block));
        heapster_free(block);
    }
}

/* Memory that the heap gave back to the OS is anybody's. */
static void returned_memory_is_open(void)
{
    enum { BLOCKS = 64, BYTES = 200000 };
    char *blocks[BLOCKS];

    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = heapster_malloc(BYTES);
    for (int i = 0; i < BLOCKS; i++)
        heapster_free(blocks[i]);
    require(heapster_trim(0), "something is given back");
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc((size_t)4 * BYTES);
        memset(blocks[i], 1, (size_t)4 * BYTES);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static void checker_finds_nothing(void)
{
    enum { BLOCKS = 300 };
    char *blocks[BLOCKS];
    struct heapster_stats stats;

    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = heapster_malloc(i * 13);
    for (size_t i = 0; i < BLOCKS; i += 2)
        heapster_free(blocks[i]);
    require(heapster_check(HEAPSTER_CHECK_AT_REST, NULL, NULL) == 0, "the heap is sound");
    heapster_stats(&stats);
    require(stats.used_blocks >= BLOCKS / 2, "they are counted");
    for (size_t i = 1; i < BLOCKS; i += 2)
        heapster_free(blocks[i]);
    require(heapster_check(HEAPSTER_CHECK_AT_REST, NULL, NULL) == 0, "the heap is sound");
}

static void fork_is_quiet(void)
{
    char *block = heapster_calloc(1, 100);
    int status;
    pid_t child = fork();

    require(child >= 0, "fork");
    if (child == 0) {
        block = heapster_realloc(block, 1000);
        block[999] = 1;
        heapster_free(block);
        _exit(heapster_check(HEAPSTER_CHECK_AT_REST, NULL, NULL) == 0 ? 0 : 1);
    }
    require(waitpid(child, &status, 0) == child && status == 0, "the child ends well");
    heapster_free(block);
}

#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }

const struct fault_case block_cases[] = {
    CASE(overflow),
    CASE(overflow_into_padding),
    CASE(overflow_past_usable_size),
    CASE(overflow_of_nothing),
    CASE(overflow_when_read),
    CASE(underflow),
    CASE(overflow_of_string),
    CASE(use_after_free),
    CASE(use_after_free_inside),
    CASE(write_after_free),
    CASE(use_after_realloc),
    CASE(double_free),
    CASE(double_free_large),
    CASE(uninitialised),
    CASE(uninitialised_again),
    CASE(uninitialised_end_after_realloc),
    CASE(uninitialised_end_in_place),
    CASE(uninitialised_large),
    CASE(uninitialised_aligned),
    CASE(overflow_after_shrinking),
    CASE(overflow_after_growing),
    CASE(overflow_of_aligned),
    CASE(underflow_of_aligned),
    CASE(overflow_of_large),
    CASE(underflow_of_large),
    CASE(use_after_free_of_large),
    CASE(overflow_after_shrinking_large),
    CASE(leak),
    CASE(no_leak_behind_block),
    CASE(no_leak_behind_large),
    CASE(no_leak_behind_resized),
    CASE(leak_behind_freed),
    CASE(calloc_is_initialised),
    CASE(realloc_keeps_content),
    CASE(usable_size_may_be_used),
    CASE(returned_memory_is_open),
    CASE(checker_finds_nothing),
    CASE(fork_is_quiet),
    {NULL, NULL},
};
