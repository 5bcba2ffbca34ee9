/*
 * Heapster beside libc's own malloc, both in use in one process: linked without the standard names, or, with the path
 * of the library as the argument, loaded by dlopen. libc's malloc raises the break, and libc's sbrk is not atomic: of
 * two calls at once both may get the same span. So Heapster leaves the break alone.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heapster.h"

enum { BLOCKS = 400, BLOCK_BYTES = 20000, ROUNDS = 60 };

struct family {
    const char *name;
    void *(*malloc)(size_t bytes);
    void (*free)(void *ptr);
    unsigned char mark;
};

static struct family libc = {"libc", malloc, free, 1}, heapster = {"heapster", heapster_malloc, heapster_free, 128};

static void fail(const struct family *family, const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", family->name, what);
    exit(1);
}

static void *live(void *argument)
{
    const struct family *family = argument;
    static _Thread_local unsigned char *blocks[BLOCKS];

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = family->malloc(BLOCK_BYTES);
            if (blocks[i] == NULL)
                fail(family, "no memory");
            memset(blocks[i], family->mark + i % 100, BLOCK_BYTES);
        }
        for (int i = 0; i < BLOCKS; i++) {
            for (size_t k = 0; k < BLOCK_BYTES; k++)
                if (blocks[i][k] != family->mark + i % 100)
                    fail(family, "a block lost its content");
            family->free(blocks[i]);
        }
        if (family == &libc)
            (void)malloc_trim(0);
    }
    return NULL;
}

static void expect_break_left_alone(void)
{
    const char *before = sbrk(0);
    void *blocks[BLOCKS];

    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = heapster.malloc(BLOCK_BYTES);
    if (sbrk(0) != before)
        fail(&heapster, "the break was moved");
    for (int i = 0; i < BLOCKS; i++)
        heapster.free(blocks[i]);
}

/* The address that dlsym gives is that of a function: POSIX has it so. */
static void load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        (void)fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    *(void **)&heapster.malloc = dlsym(library, "heapster_malloc");
    *(void **)&heapster.free = dlsym(library, "heapster_free");
}

int main(int argc, char **argv)
{
    pthread_t thread;

    /* So that the thread below and main share the one arena that lives on the break. */
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    if (argc > 1)
        load(argv[1]);
    expect_break_left_alone();
    if (pthread_create(&thread, NULL, live, &libc) != 0)
        fail(&libc, "no thread");
    (void)live(&heapster);
    (void)pthread_join(thread, NULL);
    return 0;
}
