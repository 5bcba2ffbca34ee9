/*
 * visible_msan: MemorySanitizer. It knows nothing of bounds, only whether a byte was written since its block was handed
 * out; a freed block counts as never written, so what is read from it is reported, too, where a decision depends on it.
 *
 * The allocator is instrumented like any code. Its tags, links and nodes are initialised by the writing of them.
 */
#ifndef HS_VISIBLE_MSAN_H
#define HS_VISIBLE_MSAN_H

#include <sanitizer/msan_interface.h>

#define HS_VISIBLE 1
#define HS_TOOL_FOLLOWS_MREMAP 0
#define HS_VISIBLE_CALL (void)0

static inline void hs_memory_close(const void *base, size_t bytes)
{
    (void)base;
    (void)bytes;
}

/* What was poisoned as a block stays so in whatever is mapped there next, were it not for this. */
static inline void hs_memory_open(const void *base, size_t bytes)
{
    __msan_unpoison(base, bytes);
}

static inline void hs_memory_hide(const void *base, size_t bytes)
{
    (void)base;
    (void)bytes;
}

static inline void hs_memory_root(const void *base, size_t old_bytes, size_t bytes)
{
    (void)base;
    (void)old_bytes;
    (void)bytes;
}

static inline void hs_tool_allocated(void *payload, size_t bytes, size_t usable_bytes, bool zeroed)
{
    __msan_allocated_memory(payload, usable_bytes);
    if (zeroed)
        __msan_unpoison(payload, bytes);
}

static inline void hs_tool_freed(void *payload, size_t usable_bytes)
{
    __msan_allocated_memory(payload, usable_bytes);
}

/* What a block grows by was never written. */
static inline void hs_tool_resized(void *payload, size_t old_bytes, size_t bytes, size_t usable_bytes)
{
    size_t kept_bytes = old_bytes < bytes ? old_bytes : bytes;

    __msan_allocated_memory((char *)payload + kept_bytes, usable_bytes - kept_bytes);
}

/* Bounds it does not know. */
static inline size_t hs_tool_bytes(const void *payload, size_t usable_bytes)
{
    (void)payload;
    return usable_bytes;
}

#endif
