/*
 * visible_tsan: ThreadSanitizer. The allocator is instrumented like any code, so it follows a block from thread to
 * thread by the allocator's own locks and atomics, and reports an order that is missing there.
 *
 * What is added: free counts as a write to the block, as libc's does. A thread that uses a block while another one
 * frees it is reported, although the allocator itself may not touch the payload.
 */
#ifndef HS_VISIBLE_TSAN_H
#define HS_VISIBLE_TSAN_H

#define HS_VISIBLE 1
#define HS_TOOL_FOLLOWS_MREMAP 1
#define HS_VISIBLE_CALL (void)0

/* Of a long block only the beginning: the shadow is four times as long. The run-time does the same for libc's free. */
#define HS_VISIBLE_WRITTEN_BYTES_MOST ((size_t)1024)

/* What compilers call for a write of that many bytes. */
void __tsan_write_range(void *address, unsigned long bytes);

static inline void hs_memory_close(const void *base, size_t bytes)
{
    (void)base;
    (void)bytes;
}

static inline void hs_memory_open(const void *base, size_t bytes)
{
    (void)base;
    (void)bytes;
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
    (void)payload;
    (void)bytes;
    (void)usable_bytes;
    (void)zeroed;
}

static inline void hs_tool_freed(void *payload, size_t usable_bytes)
{
    __tsan_write_range(payload,
                       usable_bytes < HS_VISIBLE_WRITTEN_BYTES_MOST ? usable_bytes : HS_VISIBLE_WRITTEN_BYTES_MOST);
}

static inline void hs_tool_resized(void *payload, size_t old_bytes, size_t bytes, size_t usable_bytes)
{
    (void)payload;
    (void)old_bytes;
    (void)bytes;
    (void)usable_bytes;
}

static inline size_t hs_tool_bytes(const void *payload, size_t usable_bytes)
{
    (void)payload;
    return usable_bytes;
}

#endif
