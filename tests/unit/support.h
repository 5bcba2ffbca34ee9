/*
 * support: what the test programs share. Running one test by name, running code in a child process whose standard
 * error is kept, and reading what the heap says of itself.
 *
 * Code that runs in a child says REQUIRE, never a cmocka assertion: those would jump into the child's copy of the
 * test runner.
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "arena.h"
#include "heapster.h"
#include "os.h"

/* The process has memory of a tool's own, whose size says nothing of ours; the tool runs one thread at a time, and that
 * slowly. */
#if defined(HS_VALGRIND)
#define TOOL_HAS_MEMORY true
#define TOOL_SLOWNESS 20
#else
#define TOOL_HAS_MEMORY HS_HAS_SHADOW
#define TOOL_SLOWNESS 1
#endif

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Runs the test named by argv[1], or all of them. A name that no test has is a failure. */
int run_named(const struct CMUnitTest *tests, size_t count, int argc, char **argv);

/* The same with `begin` before and `end` after each test, where they are not NULL. */
int run_named_with(const struct CMUnitTest *tests, size_t count, int argc, char **argv, CMFixtureFunction begin,
                   CMFixtureFunction end);

/* ---- children -------------------------------------------------------------------------------------------------- */

enum { CHILD_SECONDS = 100, CHILD_TEXT_BYTES = 8192 };

struct outcome {
    int status;                  /* as waitpid gives it */
    char text[CHILD_TEXT_BYTES]; /* what the child wrote on standard error */
};

typedef void child_body(void *context);

/* Runs `body` in a child, which exits with 0 where the body returns; an alarm ends a child that hangs. */
void run_child(struct outcome *outcome, child_body *body, void *context);

/* Runs this program again, with one argument and HEAPSTER_OPTIONS set to `options` (NULL: none), with caches as in this
 * process. */
void run_again(struct outcome *outcome, const char *argument, const char *options);

void assert_exits_with(const struct outcome *outcome, int code);
/* Exits with 0, and wrote nothing. */
void assert_quiet_success(const struct outcome *outcome);
/* Exits with 0. */
void run_child_quietly(child_body *body, void *context);

/* For code in a child that forks itself: waits for `child`, which must succeed. */
void require_exit(pid_t child);

/* True if `text` is one line or more and each is "heapster: <what>: 0x... (<found>, expected <expected>)". */
bool is_misuse_report(const char *text, const char *what);
size_t lines_of(const char *text);

void require_failed(const char *file, int line, const char *condition) __attribute__((noreturn));
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            require_failed(__FILE__, __LINE__, #condition);                                                            \
    } while (0)

/* ---- the heap -------------------------------------------------------------------------------------------------- */

/* Whether threads of this process have caches: an option, set from outside (CMakeLists.txt). */
bool has_cache(void);

/* Numbers of broken invariants in the order of the report, each followed by a space: "B2 F3 ". */
struct complaints {
    size_t count;
    char numbers[512];
};

struct complaints complaints_of(enum heapster_check_mode mode);
bool complains_of(const struct complaints *complaints, const char *number);
void assert_sound(void);

/* The blocks of the first region of an arena, as "U112 F912": used, free, cached or busy, and bytes. */
struct layout {
    char text[2048];
};
struct layout layout_of(const struct hs_arena *arena);

static inline struct hs_arena *inside(heapster_arena *arena)
{
    return (struct hs_arena *)arena;
}

/* Lets the heap have the break, also where libc's malloc serves the process (O3): while no other thread allocates. */
void use_break(void);

/* Makes OS calls fail, by kind: bit HS_OS_MMAP and so on. 0 lets all pass again. */
void fail_os_calls(unsigned kinds);
uint64_t os_calls_made(enum hs_os_call call);

/* What the kernel says of this process. */
enum process_size { ADDRESS_SPACE_BYTES, RESIDENT_BYTES };
size_t process_bytes(enum process_size which);

/* ---- data ------------------------------------------------------------------------------------------------------ */

/* The kit's generator: the same sequence in every run. */
uint64_t next_random(uint64_t *state);

/* Fills a block with what depends on `seed` and on the place; and looks whether it is still there. */
void fill_pattern(void *block, size_t bytes, unsigned seed);
bool holds_pattern(const void *block, size_t bytes, unsigned seed);
bool is_zero(const void *block, size_t bytes);

/* All of its usable bytes: where the compiler knew how many were asked for, _FORTIFY_SOURCE would end the program. */
void fill_whole_block(void *payload, int byte);

/* `number`, unknown to the compiler, which would warn of requests that cannot succeed. */
size_t unforeseen(size_t number);

#endif
