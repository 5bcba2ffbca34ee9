#include "pages.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the kit has mapped, whole pages. Relaxed: a number of its own. */
static _Atomic size_t own_bytes;

static size_t whole_pages(size_t bytes)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

    return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

static void unmap(void *base, size_t bytes)
{
    if (munmap(base, bytes) == 0)
        (void)atomic_fetch_sub_explicit(&own_bytes, whole_pages(bytes), memory_order_relaxed);
}

/* Handed out from its start, never twice. It goes as a whole, with its last user: a piece given back by itself could
 * be in the middle, which the kernel cannot cut out of a process at the end of its mappings. */
static struct {
    char *base;
    size_t bytes;
    _Atomic size_t taken_bytes;
    _Atomic size_t users; /* pieces, and one for the time until kit_pages_reserve_end */
} reserve;

/* [RESERVE] whoever unmaps it sees what the last user of each piece did. */
static void leave_reserve(void)
{
    if (atomic_fetch_sub_explicit(&reserve.users, 1, memory_order_acq_rel) != 1)
        return;
    unmap(reserve.base, reserve.bytes);
    reserve.bytes = 0;
}

static void *take_from_reserve(size_t bytes)
{
    size_t whole_bytes = whole_pages(bytes);
    size_t from = atomic_fetch_add_explicit(&reserve.taken_bytes, whole_bytes, memory_order_relaxed);

    if (reserve.bytes < from || reserve.bytes - from < whole_bytes)
        return NULL;
    (void)atomic_fetch_add_explicit(&reserve.users, 1, memory_order_relaxed);
    return reserve.base + from;
}

static void *map_new(size_t bytes, int sharing)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED)
        return NULL;
    (void)atomic_fetch_add_explicit(&own_bytes, whole_pages(bytes), memory_order_relaxed);
    return base;
}

static void *expect_memory(void *base)
{
    static const char complaint[] = "heapster-stress: no memory for the kit's own tables\n";

    if (base == NULL) {
        ssize_t ignored = write(STDERR_FILENO, complaint, sizeof complaint - 1);

        (void)ignored;
        _exit(1);
    }
    return base;
}

void *kit_pages_map(size_t bytes)
{
    void *base = map_new(bytes, MAP_PRIVATE);

    return expect_memory(base != NULL ? base : take_from_reserve(bytes));
}

void *kit_pages_map_shared(size_t bytes)
{
    return expect_memory(map_new(bytes, MAP_SHARED));
}

void kit_pages_unmap(void *base, size_t bytes)
{
    uintptr_t at = (uintptr_t)base, begin = (uintptr_t)reserve.base;

    if (at >= begin && at - begin < reserve.bytes)
        leave_reserve();
    else
        unmap(base, bytes);
}

void kit_pages_reserve(size_t bytes)
{
    reserve.base = kit_pages_map(bytes);
    reserve.bytes = bytes;
    atomic_store_explicit(&reserve.taken_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&reserve.users, 1, memory_order_relaxed);
}

void kit_pages_reserve_end(void)
{
    /* What is left of it is for nobody any more. */
    atomic_store_explicit(&reserve.taken_bytes, reserve.bytes, memory_order_relaxed);
    leave_reserve();
}

/* The kernel's own account of the process, in pages: its address space, what is resident, ... */
static size_t bytes_by_statm(unsigned field)
{
    char text[128], *at = text;
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    unsigned long long pages = 0;

    if (file >= 0)
        (void)close(file);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    for (unsigned i = 0; i <= field; i++)
        pages = strtoull(at, &at, 10);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

size_t kit_pages_resident(void)
{
    return bytes_by_statm(1);
}

size_t kit_pages_address_space(void)
{
    return bytes_by_statm(0);
}

size_t kit_pages_address_space_of_others(void)
{
    return kit_pages_address_space() - atomic_load_explicit(&own_bytes, memory_order_relaxed);
}
