#include "memory.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Relaxed: numbers of their own. Only the main thread and threads that prepare map pages. */
static _Atomic size_t mapped_bytes, most_bytes;

static size_t whole_pages(size_t bytes)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

    return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored;
}

void bench_out_of_memory(const char *what)
{
    say("heapster-bench: no memory: ");
    say(what);
    say("\n");
    _exit(BENCH_EXIT_NO_MEMORY);
}

void *bench_pages_map(size_t bytes)
{
    size_t now, most;
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (base == MAP_FAILED)
        bench_out_of_memory("the bench's own tables");
    now = atomic_fetch_add_explicit(&mapped_bytes, whole_pages(bytes), memory_order_relaxed) + whole_pages(bytes);
    most = atomic_load_explicit(&most_bytes, memory_order_relaxed);
    while (most < now &&
           !atomic_compare_exchange_weak_explicit(&most_bytes, &most, now, memory_order_relaxed, memory_order_relaxed))
        continue;
    return base;
}

void bench_pages_unmap(void *base, size_t bytes)
{
    if (base != NULL && munmap(base, bytes) == 0)
        (void)atomic_fetch_sub_explicit(&mapped_bytes, whole_pages(bytes), memory_order_relaxed);
}

size_t bench_pages_most(void)
{
    return atomic_load_explicit(&most_bytes, memory_order_relaxed);
}
