#include "os.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "visible_memory.h"

bool (*hs_os_fault)(enum hs_os_call call);
uint64_t (*hs_os_clock)(void);
char *(*hs_os_place)(size_t bytes);
_Atomic uint64_t hs_os_calls[HS_OS_CALL_KINDS];
_Atomic uint64_t hs_os_purged_bytes;

static size_t page_bytes;

static struct {
    struct hs_mutex lock;
    char *end;          /* where our last span ends; NULL before the first and once it was lowered to its start */
    bool foreign_moved; /* somebody else was seen to move the break */
} program_break = {HS_MUTEX_INITIALIZER(HS_RANK_BREAK), NULL, false};

/* Counts the call; true where a test wants it to fail. */
static bool refused(enum hs_os_call call)
{
    (void)hs_add_relaxed(&hs_os_calls[call], 1);
    return HS_UNLIKELY(hs_os_fault != NULL) && hs_os_fault(call);
}

void hs_os_init(void)
{
    page_bytes = (size_t)getauxval(AT_PAGESZ);
    if (page_bytes == 0)
        page_bytes = 4096;
}

size_t hs_os_page_bytes(void)
{
    return page_bytes;
}

unsigned hs_os_cpu_count(void)
{
    int saved_errno = errno;
    cpu_set_t set;
    unsigned count = 64; /* more processors than a cpu_set_t can name */

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = (unsigned)CPU_COUNT(&set);
    errno = saved_errno;
    return count > 0 ? count : 1;
}

uint64_t hs_os_entropy(void)
{
    int saved_errno = errno;
    uint64_t bits = 0;

    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != (ssize_t)sizeof bits) {
        struct timespec now = {0, 0};
        const char *start_up = (const char *)getauxval(AT_RANDOM);

        if (start_up != NULL)
            memcpy(&bits, start_up, sizeof bits);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        bits ^= hs_wrap_multiply((uint64_t)now.tv_nsec, UINT64_C(0x9E3779B97F4A7C15)) ^ (uintptr_t)&bits;
    }
    errno = saved_errno;
    return bits;
}

uint64_t hs_os_now_ms(void)
{
    struct timespec now = {0, 0};

    if (HS_UNLIKELY(hs_os_clock != NULL))
        return hs_os_clock();
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool hs_os_is_privileged(void)
{
    return getauxval(AT_SECURE) != 0;
}

static char *align_up(char *address, size_t alignment)
{
    return address + hs_bytes_to_multiple((uintptr_t)address, alignment);
}

static char *move_break(intptr_t bytes)
{
    void *old;

    if (refused(HS_OS_SBRK))
        return NULL;
    old = sbrk(bytes);
    return old == (void *)-1 ? NULL : old;
}

struct hs_span hs_os_break_raise(size_t bytes)
{
    int saved_errno = errno;
    struct hs_span span = {NULL, 0};
    size_t padding;
    char *now, *old, *first, *last;

    if (bytes > (size_t)INTPTR_MAX - HS_GRANULE_BYTES || !hs_load_relaxed(&hs_os_break_is_ours))
        return span;
    hs_mutex_lock(&program_break.lock);
    /* A guess at how far the next granule is; what sbrk returns below decides. */
    now = sbrk(0);
    padding = (size_t)(align_up(now, HS_GRANULE_BYTES) - now);
    old = move_break((intptr_t)(padding + bytes));
    if (old != NULL) {
        if (program_break.end != NULL && old != program_break.end)
            program_break.foreign_moved = true;
        first = align_up(old, HS_GRANULE_BYTES);
        last = old + padding + bytes;
        last -= (uintptr_t)last & (HS_GRANULE_BYTES - 1);
        program_break.end = old + padding + bytes;
        if (first < last) {
            span.base = first;
            span.bytes = (size_t)(last - first);
        }
    }
    hs_mutex_unlock(&program_break.lock);
    errno = saved_errno;
    return span;
}

bool hs_os_break_is_at(const char *end)
{
    bool is_at;

    hs_mutex_lock(&program_break.lock);
    is_at = program_break.end == end && sbrk(0) == end;
    hs_mutex_unlock(&program_break.lock);
    return is_at;
}

bool hs_os_break_may_be_lowered_from(const char *end)
{
    bool may_be;

    hs_mutex_lock(&program_break.lock);
    may_be = hs_load_relaxed(&hs_os_break_is_ours) && program_break.end == end && !program_break.foreign_moved &&
             sbrk(0) == end;
    hs_mutex_unlock(&program_break.lock);
    return may_be;
}

bool hs_os_break_lower(char *end, size_t bytes)
{
    int saved_errno = errno;
    bool lowered = false;

    hs_mutex_lock(&program_break.lock);
    if (sbrk(0) != program_break.end)
        program_break.foreign_moved = true;
    if (hs_load_relaxed(&hs_os_break_is_ours) && !program_break.foreign_moved && end == program_break.end &&
        move_break(-(intptr_t)bytes) != NULL) {
        program_break.end = end - bytes;
        lowered = true;
    }
    hs_mutex_unlock(&program_break.lock);
    errno = saved_errno;
    return lowered;
}

static char *wished_place(size_t bytes)
{
    return HS_UNLIKELY(hs_os_place != NULL) ? hs_os_place(bytes) : NULL;
}

static void *map_at(char *place, size_t bytes)
{
    int saved_errno = errno;
    void *base;

    if (refused(HS_OS_MMAP))
        return NULL;
    base = mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = saved_errno;
    return base == MAP_FAILED ? NULL : base;
}

void *hs_os_map(size_t bytes)
{
    return map_at(NULL, bytes);
}

void *hs_os_map_aligned(size_t bytes, size_t alignment, size_t offset)
{
    size_t mapped_bytes, head, tail;
    char *base, *aligned;

    if (alignment <= page_bytes)
        return map_at(wished_place(bytes), bytes);
    if (bytes > (size_t)PTRDIFF_MAX - alignment)
        return NULL;
    mapped_bytes = bytes + alignment - page_bytes;
    base = map_at(wished_place(mapped_bytes), mapped_bytes);
    if (base == NULL)
        return NULL;
    aligned = align_up(base + offset, alignment) - offset;
    head = (size_t)(aligned - base);
    tail = mapped_bytes - head - bytes;
    /* Where the kernel will not cut the ends off, they stay behind as address space without pages. */
    if (head != 0)
        (void)hs_os_unmap(base, head);
    if (tail != 0)
        (void)hs_os_unmap(aligned + bytes, tail);
    return aligned;
}

bool hs_os_unmap(void *base, size_t bytes)
{
    int saved_errno = errno;
    bool done;

    hs_addresses_leave();
    hs_memory_open(base, bytes);
    done = !refused(HS_OS_MUNMAP) && munmap(base, bytes) == 0;
    errno = saved_errno;
    return done;
}

/* Grows where it stands if it can, as the kernel does of itself. */
static void *move_to(char *place, void *base, size_t old_bytes, size_t new_bytes)
{
    void *moved = mremap(base, old_bytes, new_bytes, 0);

    return moved != MAP_FAILED ? moved : mremap(base, old_bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
}

static void *move_mapping(void *base, size_t old_bytes, size_t new_bytes)
{
    char *place = wished_place(new_bytes);

    return place != NULL ? move_to(place, base, old_bytes, new_bytes)
                         : mremap(base, old_bytes, new_bytes, MREMAP_MAYMOVE);
}

void *hs_os_remap(void *base, size_t old_bytes, size_t new_bytes, bool may_move)
{
    size_t kept_bytes = may_move ? 0 : new_bytes < old_bytes ? new_bytes : old_bytes;
    int saved_errno = errno;
    void *moved;

    if (refused(HS_OS_MREMAP))
        return NULL;
    hs_addresses_leave();
    hs_memory_open((char *)base + kept_bytes, old_bytes - kept_bytes);
    moved = may_move ? move_mapping(base, old_bytes, new_bytes) : mremap(base, old_bytes, new_bytes, 0);
    hs_addresses_arrived();
    errno = saved_errno;
    return moved == MAP_FAILED ? NULL : moved;
}

static bool advise(void *base, size_t bytes, int advice)
{
    int saved_errno = errno;
    bool done = !refused(HS_OS_MADVISE) && madvise(base, bytes, advice) == 0;

    errno = saved_errno;
    return done;
}

bool hs_os_purge(void *base, size_t bytes)
{
    bool done = advise(base, bytes, MADV_DONTNEED);

    if (done)
        (void)hs_add_relaxed(&hs_os_purged_bytes, bytes);
    return done;
}

bool hs_os_want_huge(void *base, size_t bytes)
{
    return advise(base, bytes, MADV_HUGEPAGE);
}

/* As in the kernel's headers, for libcs that are older. */
enum { ADVICE_POPULATE_WRITE = 23 };

bool hs_os_populate(void *base, size_t bytes)
{
    return advise(base, bytes, ADVICE_POPULATE_WRITE);
}

int hs_os_write(int fd, const char *text, size_t bytes)
{
    int saved_errno = errno;
    int failure = 0;

    while (bytes > 0) {
        ssize_t written = write(fd, text, bytes);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            failure = written < 0 ? errno : EIO;
            break;
        }
        text += written;
        bytes -= (size_t)written;
    }
    errno = saved_errno;
    return failure;
}

void hs_os_yield(void)
{
    (void)sched_yield();
}

/* glibc exports these for its own libraries; other libcs do not have them. */
extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));
extern void _IO_list_resetlock(void) __attribute__((weak));

void hs_os_stdio_lock(void)
{
    if (_IO_list_lock != NULL)
        _IO_list_lock();
}

void hs_os_stdio_unlock(void)
{
    if (_IO_list_unlock != NULL)
        _IO_list_unlock();
}

void hs_os_stdio_reset_in_child(void)
{
    if (_IO_list_resetlock != NULL)
        _IO_list_resetlock();
}

struct hs_mutex *hs_os_break_lock(void)
{
    return &program_break.lock;
}
