/*
 * visible_asan: AddressSanitizer, and LeakSanitizer, which comes with it.
 *
 * Closed memory is poisoned; an access is reported as a use after poison. The shadow has a granule of 8 bytes and can
 * say of each how many of its first bytes are open, so the end of what was asked for is exact. Poisoned words are no
 * pointers to LeakSanitizer: what a freed block holds keeps nothing alive.
 *
 * The allocator's own looks at tags, links and nodes are not instrumented (CMakeLists.txt): closed means closed to the
 * program. Where it calls memcpy or memset, which are checked at run time whoever calls, the memory is open.
 */
#ifndef HS_VISIBLE_ASAN_H
#define HS_VISIBLE_ASAN_H

#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>

#define HS_VISIBLE_GRANULE ((size_t)8)
#define HS_VISIBLE 1
#define HS_TOOL_FOLLOWS_MREMAP 0
#define HS_VISIBLE_CALL (void)0

static inline void hs_memory_close(const void *base, size_t bytes)
{
    __asan_poison_memory_region(base, bytes);
}

static inline void hs_memory_open(const void *base, size_t bytes)
{
    __asan_unpoison_memory_region(base, bytes);
}

/* Searches for leaks look at what is named to them, and our records are not. */
static inline void hs_memory_hide(const void *base, size_t bytes)
{
    (void)base;
    (void)bytes;
}

static inline void hs_memory_root(const void *base, size_t old_bytes, size_t bytes)
{
    if (bytes != 0)
        __lsan_register_root_region(base, bytes);
    if (old_bytes != 0)
        __lsan_unregister_root_region(base, old_bytes);
}

static inline void hs_tool_allocated(void *payload, size_t bytes, size_t usable_bytes, bool zeroed)
{
    (void)zeroed;
    __asan_poison_memory_region(payload, usable_bytes);
    __asan_unpoison_memory_region(payload, bytes);
}

static inline void hs_tool_freed(void *payload, size_t usable_bytes)
{
    __asan_poison_memory_region(payload, usable_bytes);
}

static inline void hs_tool_resized(void *payload, size_t old_bytes, size_t bytes, size_t usable_bytes)
{
    (void)old_bytes;
    hs_tool_allocated(payload, bytes, usable_bytes, false);
}

/* From the end, so that what the program itself closed within its block does not count. */
static inline size_t hs_tool_bytes(const void *payload, size_t usable_bytes)
{
    const char *first = payload;
    size_t bytes = usable_bytes & ~(HS_VISIBLE_GRANULE - 1);

    while (bytes > 0 && __asan_address_is_poisoned(first + bytes - HS_VISIBLE_GRANULE))
        bytes -= HS_VISIBLE_GRANULE;
    while (bytes > 0 && __asan_address_is_poisoned(first + bytes - 1))
        bytes--;
    return bytes;
}

#endif
