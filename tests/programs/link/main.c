/*
 * A program that knows nothing of the allocator but its statistics: are the calls of malloc, calloc, realloc and free
 * that it makes, and those of a library that it loads, served? Prints one line and ends with status 0 if so.
 *
 *     main [library]
 */
#include <dlfcn.h>
#include <heapster.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS = 1000 };

typedef void *make_function(size_t bytes);

static uint64_t allocations(void)
{
    struct heapster_stats stats;

    heapster_stats(&stats);
    return stats.allocations;
}

static uint64_t used_blocks(void)
{
    struct heapster_stats stats;

    heapster_stats(&stats);
    return stats.used_blocks;
}

static void expect(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

static void *allocate_and_free(void *unused)
{
    static void *volatile block[CALLS];

    for (size_t i = 0; i < CALLS; i++)
        block[i] = i % 2 == 0 ? malloc(i + 1) : calloc(i, 3);
    for (size_t i = 0; i < CALLS; i++) {
        expect(block[i] != NULL, "malloc and calloc return memory");
        memset(block[i], 0x5a, i);
        block[i] = realloc(block[i], i * 40 + 64);
        expect(block[i] != NULL && (i == 0 || *(unsigned char *)block[i] == 0x5a), "realloc keeps the content");
    }
    for (size_t i = 0; i < CALLS; i++)
        free(block[i]);
    return unused;
}

static void check_own_calls(void)
{
    uint64_t allocated = allocations(), used = used_blocks();
    pthread_t thread;

    allocate_and_free(NULL);
    expect(allocations() >= allocated + CALLS, "malloc and calloc of the program are served");
    expect(used_blocks() < used + CALLS, "free of the program is served");
    allocated = allocations();
    expect(pthread_create(&thread, NULL, allocate_and_free, NULL) == 0, "a thread starts");
    expect(pthread_join(thread, NULL) == 0, "and ends");
    expect(allocations() >= allocated + CALLS, "and those of its threads");
}

static void check_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    static void *volatile block[CALLS];
    make_function *make;
    uint64_t used;

    if (library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    expect(library != NULL, "the library loads");
    make = (make_function *)dlsym(library, "make");
    expect(make != NULL, "it has a function make");
    used = used_blocks();
    for (size_t i = 0; i < CALLS; i++)
        block[i] = make(i);
    expect(used_blocks() >= used + CALLS, "malloc of a loaded library is served");
    for (size_t i = 0; i < CALLS; i++)
        free(block[i]);
    expect(used_blocks() < used + CALLS, "and its blocks are freed");
    expect(dlclose(library) == 0, "the library goes");
}

int main(int argc, char **argv)
{
    check_own_calls();
    if (argc > 1)
        check_library(argv[1]);
    expect(heapster_check(HEAPSTER_CHECK_AT_REST, NULL, NULL) == 0, "the heap is sound");
    puts("served");
    return 0;
}
