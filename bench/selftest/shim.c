/*
 * shim: libc's malloc with a weakness, for LD_PRELOAD; proves that the bench sees it. BENCH_SHIM names it:
 *
 *     slow     every SLOW_EVERY-th malloc takes 2 ms
 *     leak     nothing is ever freed
 *     refuse   the REFUSED-th malloc and all after it fail
 *     count    at the end, standard error says how many calls of malloc for BENCH_SHIM_BYTES there were
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SLOW_EVERY = 200, SLOW_NS = 2000000, REFUSED = 500 };

/* glibc's own entries, which nobody overrides. */
extern void *__libc_malloc(size_t bytes);
extern void __libc_free(void *ptr);

static atomic_ulong calls, counted;
static const char *weakness = "";
static size_t counted_bytes;

static int has(const char *name)
{
    return strcmp(weakness, name) == 0;
}

__attribute__((constructor)) static void prepare(void)
{
    const char *name = getenv("BENCH_SHIM"), *bytes = getenv("BENCH_SHIM_BYTES");

    weakness = name != NULL ? name : "";
    counted_bytes = bytes != NULL ? strtoul(bytes, NULL, 10) : 0;
}

__attribute__((destructor)) static void report(void)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%lu\n", atomic_load_explicit(&counted, memory_order_relaxed));
    ssize_t ignored = has("count") ? write(STDERR_FILENO, text, (size_t)length) : 0;

    (void)ignored;
}

void *malloc(size_t bytes)
{
    unsigned long call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1;
    struct timespec nap = {.tv_nsec = SLOW_NS};

    if (bytes == counted_bytes)
        (void)atomic_fetch_add_explicit(&counted, 1, memory_order_relaxed);
    if (has("slow") && call % SLOW_EVERY == 0)
        (void)nanosleep(&nap, NULL);
    if (has("refuse") && call >= REFUSED) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_malloc(bytes);
}

void free(void *ptr)
{
    if (!has("leak"))
        __libc_free(ptr);
}
