/*
 * The companions of malloc that programs call to look at the heap, under glibc's names. They belong to override.c, but
 * unlike the family there they may use stdio where their caller hands a stream in.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "cache.h"
#include "heapster.h"
#include "options.h"

HEAPSTER_API struct mallinfo2 mallinfo2(void);
HEAPSTER_API struct mallinfo mallinfo(void);
HEAPSTER_API int malloc_trim(size_t keep_bytes);
HEAPSTER_API void malloc_stats(void);
HEAPSTER_API int malloc_info(int options, FILE *stream);
HEAPSTER_API int mallopt(int parameter, int value);

struct mallinfo2 mallinfo2(void)
{
    struct heapster_stats stats;
    struct mallinfo2 info = {0};

    heapster_stats(&stats);
    info.arena = (size_t)stats.region_bytes;
    info.ordblks = (size_t)stats.free_blocks;
    info.hblks = (size_t)stats.large_blocks;
    info.hblkhd = (size_t)stats.large_bytes;
    info.uordblks = (size_t)(stats.used_bytes - stats.large_bytes);
    info.fordblks = (size_t)stats.free_bytes;
    info.keepcost = (size_t)stats.largest_free;
    return info;
}

static int clamp(size_t number)
{
    return number < INT_MAX ? (int)number : INT_MAX;
}

struct mallinfo mallinfo(void)
{
    struct mallinfo2 wide = mallinfo2();
    struct mallinfo info = {0};

    info.arena = clamp(wide.arena);
    info.ordblks = clamp(wide.ordblks);
    info.hblks = clamp(wide.hblks);
    info.hblkhd = clamp(wide.hblkhd);
    info.uordblks = clamp(wide.uordblks);
    info.fordblks = clamp(wide.fordblks);
    info.keepcost = clamp(wide.keepcost);
    return info;
}

int malloc_trim(size_t keep_bytes)
{
    return heapster_trim(keep_bytes) ? 1 : 0;
}

void malloc_stats(void)
{
    (void)heapster_stats_print(STDERR_FILENO, HEAPSTER_TEXT);
}

int malloc_info(int options, FILE *stream)
{
    struct heapster_stats stats;
    uint64_t held_bytes;

    if (options != 0)
        return EINVAL;
    heapster_stats(&stats);
    held_bytes = stats.region_bytes + stats.large_bytes;
    (void)fprintf(stream,
                  "<malloc version=\"1\">\n"
                  "<total type=\"rest\" count=\"%llu\" size=\"%llu\"/>\n"
                  "<total type=\"mmap\" count=\"%llu\" size=\"%llu\"/>\n"
                  "<system type=\"current\" size=\"%llu\"/>\n"
                  "<aspace type=\"total\" size=\"%llu\"/>\n"
                  "</malloc>\n",
                  (unsigned long long)stats.free_blocks, (unsigned long long)stats.free_bytes,
                  (unsigned long long)stats.large_blocks, (unsigned long long)stats.large_bytes,
                  (unsigned long long)stats.region_bytes, (unsigned long long)held_bytes);
    return 0;
}

int mallopt(int parameter, int value)
{
    switch (parameter) {
    case M_MMAP_THRESHOLD:
        if (value < 0)
            return 0;
        heapster_set_mmap_threshold((size_t)value);
        return 1;
    case M_PERTURB:
        hs_store_relaxed(&hs_options.fill, value != 0); /* relaxed: a debugging aid */
        if (value != 0)
            hs_cache_leave(); /* threads that have a cache already go on without filling */
        return 1;
    case M_MXFAST:
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
        return 1; /* taken, and of no effect: there is nothing here that they would tune */
    default:
        return 0;
    }
}
