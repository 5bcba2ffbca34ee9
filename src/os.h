/*
 * os: the calls that reach the operating system, and nothing else.
 *
 * Each call goes through one gate, hs_os_fault, where a test may make it fail. Every function keeps errno as it was
 * and reports failure by its result alone; none allocates, none uses stdio.
 *
 * Invariants
 *   O1  The break is lowered only by what this layer raised, and only while nobody else was ever seen to move it.
 *   O2  Spans of the break begin and end on a multiple of HS_GRANULE_BYTES; what lies between a foreign break and
 *       the next multiple belongs to nobody.
 *
 *   O3  Where libc's own malloc serves the process, the break is left to it.
 *
 * Locks: the break has one of its own (rank BREAK), so that asking where it is and moving it is one step among our
 * own threads. A foreign sbrk can still come between; the result of the one call that moves the break decides, never
 * the question before it. A foreign sbrk at the very same moment nobody can survive: libc's sbrk is not atomic, and may
 * give one span to both. A program that calls it beside threads has to see to that; libc's malloc does not, hence O3.
 */
#ifndef HS_OS_H
#define HS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync.h"

/* Regions begin and end on multiples of this; the region map has one entry for each. */
#define HS_GRANULE_BYTES ((size_t)64 * 1024)

enum hs_os_call { HS_OS_SBRK, HS_OS_MMAP, HS_OS_MUNMAP, HS_OS_MREMAP, HS_OS_MADVISE, HS_OS_CALL_KINDS };

/* Asked before each call where it is not NULL: true makes the call fail without reaching the OS. Set it only while
 * no other thread is in the allocator. It may be called under any lock and must not allocate. */
extern bool (*hs_os_fault)(enum hs_os_call call);

/* Where it is not NULL, a test says what time it is. It must not allocate. */
extern uint64_t (*hs_os_clock)(void);

/* Where it is not NULL, a test says where the next mapping of so many bytes is to go: those that are aligned, and those
 * that are moved, but none for the allocator's own records. The kernel takes that for a wish; NULL is none. It may be
 * called under any lock and must not allocate. */
extern char *(*hs_os_place)(size_t bytes);

/* How often each call was made, failed ones included, and what madvise gave back. Relaxed: statistics only. */
extern _Atomic uint64_t hs_os_calls[HS_OS_CALL_KINDS];
extern _Atomic uint64_t hs_os_purged_bytes;

/* Reads what never changes: the page size. Called once, before any other function here. */
void hs_os_init(void);

size_t hs_os_page_bytes(void);

/* The processors this process may run on, at least 1. */
unsigned hs_os_cpu_count(void);

/* 64 bits that other processes do not know. Never fails: falls back from the kernel's start-up bytes to addresses
 * and the clock. */
uint64_t hs_os_entropy(void);

/* Milliseconds of a clock that never goes back; coarse. */
uint64_t hs_os_now_ms(void);

/* True where the process runs with more rights than its user: the environment is then not to be believed. */
bool hs_os_is_privileged(void);

/* O3: false, and no span is raised or lowered. Defined, with its first value, where the standard names are or are not
 * (override.h): the first call of the process may come before anybody can be asked who serves malloc. Relaxed: it
 * changes while the process has one thread, or the library is being loaded. */
extern _Atomic bool hs_os_break_is_ours;

struct hs_span {
    char *base; /* NULL where there is no memory */
    size_t bytes;
};

/* Raises the break by `bytes`, a multiple of HS_GRANULE_BYTES, in one step. The span begins at the end of the last
 * one unless somebody else moved the break in between. */
struct hs_span hs_os_break_raise(size_t bytes);

/* True if the break is where our last span ended, and that is `end`: a hint for how much to ask for. */
bool hs_os_break_is_at(const char *end);

/* The same, and O1 allows to lower it. */
bool hs_os_break_may_be_lowered_from(const char *end);

/* Lowers the break from `end` by `bytes`; false, with nothing changed, where O1 forbids it or the OS refuses. */
bool hs_os_break_lower(char *end, size_t bytes);

/* Zeroed pages, or NULL. */
void *hs_os_map(size_t bytes);

/* Zeroed pages such that `offset` bytes behind the result there is a multiple of `alignment` (a power of two, at
 * least a page); or NULL. */
void *hs_os_map_aligned(size_t bytes, size_t alignment, size_t offset);

/* False where the kernel cannot split the mapping it lies in (vm.max_map_count): it then stays mapped. */
bool hs_os_unmap(void *base, size_t bytes);

/* Resizes a mapping, moving it where that is allowed and needed; NULL, with nothing changed, on failure. */
void *hs_os_remap(void *base, size_t old_bytes, size_t new_bytes, bool may_move);

/* Drops the content of whole pages; they read as zero afterwards. False where the kernel refuses. */
bool hs_os_purge(void *base, size_t bytes);

/* What a huge page is where they are of use: on x86-64, and on aarch64 with pages of 4 KiB. */
#define HS_HUGE_PAGE_BYTES ((size_t)2 * 1024 * 1024)

/* Asks for huge pages where memory is touched first from now on; a hint. False where the kernel does not know them.
 * Whether it gives any is its administrator's choice (/sys/kernel/mm/transparent_hugepage/enabled: with "never" this
 * has no effect, with "always" it needs no asking). */
bool hs_os_want_huge(void *base, size_t bytes);

/* Gives pages their memory, zeroed, in one call, as if each had been written to. False where the kernel has no such
 * call (Linux before 5.14) or no memory: the pages then come one by one. */
bool hs_os_populate(void *base, size_t bytes);

/* Writes all of it, through interruptions. Returns 0 or an errno. */
int hs_os_write(int fd, const char *text, size_t bytes);

void hs_os_yield(void);

/* libc's fork takes the lock of stdio's list of streams after every prepare handler has run, while another thread
 * may hold that lock and wait for one of ours. Taking it first, in libc's own order, leaves no such cycle. No-ops
 * where libc does not offer it. */
void hs_os_stdio_lock(void);
void hs_os_stdio_unlock(void);
void hs_os_stdio_reset_in_child(void);

/* Fork's access to the lock of the break. */
struct hs_mutex *hs_os_break_lock(void);

#endif
