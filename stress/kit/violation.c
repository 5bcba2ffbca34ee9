#include "violation.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "watchdog.h"

static const char *const deed_names[KIT_DEEDS] = {
    [KIT_NOTHING] = "nothing",
    [KIT_MALLOC] = "malloc",
    [KIT_CALLOC] = "calloc",
    [KIT_REALLOC] = "realloc",
    [KIT_ALIGNED_ALLOC] = "aligned_alloc",
    [KIT_POSIX_MEMALIGN] = "posix_memalign",
    [KIT_MEMALIGN] = "memalign",
    [KIT_FREE] = "free",
    [KIT_FREE_SIZED] = "free_sized",
    [KIT_FREE_ALIGNED_SIZED] = "free_aligned_sized",
    [KIT_REALLOC_TO_ZERO] = "realloc to 0",
    [KIT_INSPECT] = "inspection",
    [KIT_HAND_OVER] = "hand-over",
    [KIT_TUNE] = "tuning",
    [KIT_CREATE_ARENA] = "creation of an arena",
    [KIT_DESTROY_ARENA] = "destruction of an arena",
    [KIT_CHECK] = "check of the heap",
    [KIT_WALK] = "walk through the heap",
    [KIT_STATISTICS] = "statistics",
    [KIT_FORK] = "fork",
};

const char *kit_deed_name(enum kit_deed deed)
{
    return deed_names[deed < KIT_DEEDS ? deed : KIT_NOTHING];
}

static void add_deed(struct kit_text *text, uint64_t packed)
{
    kit_text_add(text, "    %s by thread %u at operation %llu\n", kit_deed_name(kit_deed_of(packed)),
                 kit_deed_thread(packed), (unsigned long long)kit_deed_number(packed));
}

static void add_block(struct kit_text *text, const char *which, const struct kit_block *block)
{
    uint32_t count = kit_get(block->deed_count), first;
    uint64_t id = kit_get(block->id);

    kit_text_add(text, "  %s block %llu.%llu: %p, %zu bytes asked for, %zu usable\n", which,
                 (unsigned long long)(id >> 40), (unsigned long long)(id & ((UINT64_C(1) << 40) - 1)),
                 kit_block_payload(block), kit_get(block->bytes), kit_get(block->usable_bytes));
    if (count == 0)
        return;
    add_deed(text, kit_get(block->deeds[0]));
    first = count > KIT_HISTORY ? count - (KIT_HISTORY - 1) : 1;
    if (first > 1)
        kit_text_add(text, "    (%u more)\n", first - 1);
    for (uint32_t i = first; i < count; i++)
        add_deed(text, kit_get(block->deeds[1 + (i - 1) % (KIT_HISTORY - 1)]));
}

void kit_text_add_thread(struct kit_text *text, const struct kit_thread *thread)
{
    uint64_t doing = kit_get(thread->doing);

    if (thread->index == thread->run->config->threads)
        kit_text_add(text, "  checker: ");
    else
        kit_text_add(text, "  thread %u: ", thread->index);
    kit_text_add(text, "%llu operations, %s %s (%llu bytes)\n", (unsigned long long)kit_get(thread->ops),
                 kit_get(thread->is_waiting) ? "waiting after" : "in", kit_deed_name(kit_deed_of(doing)),
                 (unsigned long long)kit_deed_number(doing));
}

/* True for the one thread that may report; others wait for the end of the process here. False for a thread that
 * fails in its own report, and for a process that was forked while another one reported. */
static bool may_report(void)
{
    static _Atomic pid_t reporter;
    static _Thread_local bool is_reporting;
    pid_t nobody = 0, self = getpid();

    if (is_reporting)
        return false;
    if (!atomic_compare_exchange_strong_explicit(&reporter, &nobody, self, memory_order_relaxed,
                                                 memory_order_relaxed)) {
        while (nobody == self)
            (void)pause();
        return false;
    }
    is_reporting = true;
    return true;
}

static void add_end(struct kit_text *text)
{
    if (kit_self != NULL)
        kit_text_add_thread(text, kit_self);
    if (kit_current != NULL)
        kit_text_add(text, "  reproduce: %s\n", kit_current->config->reproduce);
}

static _Noreturn void finish(struct kit_text *text)
{
    kit_text_write(text, STDERR_FILENO);
    _exit(1);
}

/* The first to fail gives the reason; in a child of fork it shares the result with its parent. */
static void keep_reason(const char *what, const char *detail)
{
    struct kit_result *result = kit_current != NULL ? kit_current->result : NULL;

    if (result == NULL || result->verdict == KIT_FAILED)
        return;
    (void)snprintf(result->reason, sizeof result->reason, "%s: %s", what, detail);
    result->verdict = KIT_FAILED;
}

void kit_violation(const struct kit_block *block, const struct kit_block *other, const char *what, const char *format,
                   ...)
{
    struct kit_text text = {.length = 0};
    char detail[2048];
    va_list arguments;

    if (!may_report())
        _exit(1);
    va_start(arguments, format);
    (void)vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    keep_reason(what, detail);
    kit_text_add(&text, "\nheapster-stress: VIOLATION: %s: %s\n", what, detail);
    if (block != NULL)
        add_block(&text, "the", block);
    if (other != NULL)
        add_block(&text, "the other", other);
    add_end(&text);
    finish(&text);
}

static _Noreturn void report_hang(const char *detail)
{
    struct kit_text text = {.length = 0};

    keep_reason("hang", detail);
    kit_text_add(&text, "\nheapster-stress: VIOLATION: hang: %s\n", detail);
    kit_text_write(&text, STDERR_FILENO);
    if (kit_current != NULL)
        kit_watchdog_report(kit_current, STDERR_FILENO);
    add_end(&text);
    finish(&text);
}

void kit_violation_hang(const char *detail)
{
    if (!may_report())
        _exit(1);
    report_hang(detail);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct kit_text text = {.length = 0};
    char crash[64];

    (void)context;
    if (!may_report())
        _exit(1);
    if (number == SIGALRM)
        report_hang("a step of the main thread did not end");
    (void)snprintf(crash, sizeof crash, "signal %d at %p", number, number == SIGABRT ? NULL : info->si_addr);
    keep_reason("crash", crash);
    kit_text_add(&text, "\nheapster-stress: VIOLATION: crash: %s\n", crash);
    add_end(&text);
    finish(&text);
}

void kit_violation_catch_signals(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGALRM};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old, mine = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            (void)sigaction(numbers[i], &mine, NULL);
    }
}
