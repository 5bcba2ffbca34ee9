#include "watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pages.h"
#include "stack.h"
#include "symbols.h"
#include "violation.h"

enum {
    SIGNAL_OFFSET = 7, /* from SIGRTMIN: neither libc's nor a usual choice of libraries */
    TASKS_MAX = 4096,
    FRAMES_MAX = 48,
    HELD_MAX = 4096,
    NAME_BYTES = 80,
    PATIENCE_MS = 1000,
    PIECE_BYTES = 3000
};

/* What a thread says of itself. It owns the answer from the signal until it has set is_given. */
struct answer {
    pid_t task;
    bool is_told;                        /* in the report */
    _Atomic(const struct kit_run *) run; /* of which it is asked */
    _Atomic bool is_given;
    bool is_exact; /* the first frame is where the thread stands, not where a call returns to */
    const struct kit_thread *thread;
    const void *identity;
    unsigned frame_count;
    void *frames[FRAMES_MAX];
};

struct held {
    char name[NAME_BYTES];
    const void *holder;
    bool is_told;
};

static struct {
    int signal; /* 0: none */
    struct answer *answers;
    unsigned answer_count;
    struct held *held;
    unsigned held_count, held_beyond;
    int file;
    struct kit_text text;
} watchdog;

/* ---- stacks --------------------------------------------------------------------------------------------------------
 */

static bool is_given(struct answer *answer)
{
    return atomic_load_explicit(&answer->is_given, memory_order_acquire); /* [ANSWER] */
}

/* `returns_to` is where the handler returns to: the frame behind it is where the signal met the thread. Where a
 * sanitizer calls the handler it is one of the sanitizer's, and some more of those stand before the thread's own. */
static void give(struct answer *answer, const void *returns_to)
{
    const struct kit_run *run = atomic_load_explicit(&answer->run, memory_order_acquire); /* [QUESTION] */
    const struct kit_allocator *allocator = run->allocator;
    unsigned count = kit_stack_take(answer->frames, FRAMES_MAX), skip = 0;

    for (unsigned i = 0; i < count && skip == 0; i++)
        if (answer->frames[i] == returns_to)
            skip = i + 1;
    answer->is_exact = skip != 0;
    answer->frame_count = count - skip;
    memmove(answer->frames, answer->frames + skip, (count - skip) * sizeof answer->frames[0]);
    answer->thread = kit_self;
    answer->identity = allocator->self != NULL ? allocator->self(allocator->context) : NULL;
    atomic_store_explicit(&answer->is_given, true, memory_order_release); /* [ANSWER] */
}

static void on_question(int number, siginfo_t *info, void *context)
{
    struct answer *answer = info->si_value.sival_ptr;
    int kept_errno = errno;

    (void)number;
    (void)context;
    if (info->si_code == SI_QUEUE && info->si_pid == getpid() && answer >= watchdog.answers &&
        answer < watchdog.answers + TASKS_MAX)
        give(answer, __builtin_return_address(0));
    errno = kept_errno;
}

void kit_watchdog_set_up(void)
{
    struct sigaction old, mine = {.sa_sigaction = on_question, .sa_flags = SA_SIGINFO | SA_RESTART};
    int number = SIGRTMIN + SIGNAL_OFFSET;

    kit_symbols_prepare();
    if (watchdog.held == NULL) {
        watchdog.held = kit_pages_map(HELD_MAX * sizeof *watchdog.held);
        watchdog.answers = kit_pages_map(TASKS_MAX * sizeof *watchdog.answers);
        kit_stack_prepare();
        kit_symbols_prepare(); /* once more: what finds stacks has been loaded since */
    }
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_DFL && sigaction(number, &mine, NULL) == 0)
        watchdog.signal = number;
}

static void ask(struct answer *answer)
{
    siginfo_t question = {.si_signo = watchdog.signal, .si_code = SI_QUEUE};

    question.si_pid = getpid();
    question.si_uid = getuid();
    question.si_value.sival_ptr = answer;
    (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), answer->task, watchdog.signal, &question);
}

/* As the kernel has them. */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t bytes;
    uint8_t type;
    char name[];
};

/* Makes an answer for each thread of the process; opendir would allocate. */
static void list_tasks(void)
{
    static char buffer[32 * 1024] __attribute__((aligned(16)));
    int folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long got;

    while (folder >= 0 && (got = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0) {
        const struct entry *entry;

        for (long at = 0; at < got; at += entry->bytes) {
            entry = (const struct entry *)(buffer + at);
            if (entry->name[0] >= '0' && entry->name[0] <= '9' && watchdog.answer_count < TASKS_MAX)
                watchdog.answers[watchdog.answer_count++].task = (pid_t)strtol(entry->name, NULL, 10);
        }
    }
    if (folder >= 0)
        (void)close(folder);
}

static bool all_are_given(void)
{
    for (unsigned i = 0; i < watchdog.answer_count; i++)
        if (!is_given(&watchdog.answers[i]))
            return false;
    return true;
}

static void ask_all(const struct kit_run *run)
{
    const struct timespec pause = {0, 1000000};
    pid_t self = (pid_t)syscall(SYS_gettid);

    list_tasks();
    for (unsigned i = 0; i < watchdog.answer_count; i++) {
        struct answer *answer = &watchdog.answers[i];

        atomic_store_explicit(&answer->run, run, memory_order_release); /* [QUESTION] */
        if (answer->task == self)
            give(answer, NULL);
        else if (watchdog.signal != 0)
            ask(answer);
    }
    for (int i = 0; i < PATIENCE_MS && !all_are_given(); i++)
        (void)nanosleep(&pause, NULL);
}

/* What to look up for a frame: of a call, not of what follows it. */
static uintptr_t address_of(const struct answer *answer, unsigned frame)
{
    uintptr_t address = (uintptr_t)answer->frames[frame];

    return frame == 0 && answer->is_exact ? address : address - 1;
}

/* False where addr2line is missing. */
static bool name_frames(void)
{
    kit_symbols_clear();
    for (unsigned frame = 0; frame < FRAMES_MAX; frame++) {
        for (unsigned i = 0; i < watchdog.answer_count; i++) {
            struct answer *answer = &watchdog.answers[i];

            if (is_given(answer) && frame < answer->frame_count)
                kit_symbols_want(address_of(answer, frame));
        }
    }
    return kit_symbols_find();
}

/* ---- text ----------------------------------------------------------------------------------------------------------
 */

static struct kit_text *next_piece(void)
{
    if (watchdog.text.length > PIECE_BYTES)
        kit_text_write(&watchdog.text, watchdog.file);
    return &watchdog.text;
}

static void note_held(const char *name, const void *holder, void *argument)
{
    struct held *held = &watchdog.held[watchdog.held_count];

    (void)argument;
    if (watchdog.held_count == HELD_MAX) {
        watchdog.held_beyond++;
        return;
    }
    (void)snprintf(held->name, sizeof held->name, "%s", name);
    held->holder = holder;
    held->is_told = false;
    watchdog.held_count++;
}

static void add_held(const void *identity)
{
    const char *before = "    holds: ";

    if (identity == NULL)
        return;
    for (unsigned i = 0; i < watchdog.held_count; i++) {
        if (watchdog.held[i].holder != identity)
            continue;
        kit_text_add(next_piece(), "%s%s", before, watchdog.held[i].name);
        watchdog.held[i].is_told = true;
        before = ", ";
    }
    if (before[0] == ',')
        kit_text_add(next_piece(), "\n");
}

static void add_stack(struct answer *answer)
{
    if (answer == NULL || !is_given(answer)) {
        if (kit_stack_is_known)
            kit_text_add(next_piece(), "    no stack: the thread did not answer\n");
        return;
    }
    answer->is_told = true;
    for (unsigned i = 0; i < answer->frame_count; i++)
        kit_text_add_symbol(next_piece(), address_of(answer, i), "    ");
}

static struct answer *answer_of(const struct kit_thread *thread)
{
    for (unsigned i = 0; i < watchdog.answer_count; i++)
        if (is_given(&watchdog.answers[i]) && watchdog.answers[i].thread == thread)
            return &watchdog.answers[i];
    return NULL;
}

static void add_thread(const struct kit_thread *thread)
{
    kit_text_add_thread(next_piece(), thread);
    add_held(kit_get(thread->identity));
    add_stack(answer_of(thread));
}

/* The main thread, and those that a scenario or a library made for itself. */
static void add_others(void)
{
    for (unsigned i = 0; i < watchdog.answer_count; i++) {
        struct answer *answer = &watchdog.answers[i];

        if (!is_given(answer) || answer->is_told || answer->thread != NULL)
            continue;
        if (answer->task == getpid())
            kit_text_add(next_piece(), "  main thread:\n");
        else
            kit_text_add(next_piece(), "  another thread, %d:\n", (int)answer->task);
        add_held(answer->identity);
        add_stack(answer);
    }
}

static void add_rest(void)
{
    unsigned silent = 0;

    for (unsigned i = 0; i < watchdog.held_count; i++)
        if (!watchdog.held[i].is_told)
            kit_text_add(next_piece(), "  held by an unknown thread: %s (%p)\n", watchdog.held[i].name,
                         watchdog.held[i].holder);
    if (watchdog.held_beyond > 0)
        kit_text_add(next_piece(), "  and %u more locks are held\n", watchdog.held_beyond);
    for (unsigned i = 0; i < watchdog.answer_count; i++)
        silent += !is_given(&watchdog.answers[i]);
    if (!kit_stack_is_known)
        kit_text_add(next_piece(), "  no stacks: libc has no backtrace\n");
    else if (silent > 0 || watchdog.answer_count == 0)
        kit_text_add(next_piece(), "  %u of %u threads of the process did not answer\n", silent, watchdog.answer_count);
}

void kit_watchdog_report(const struct kit_run *run, int file)
{
    const struct kit_allocator *allocator = run->allocator;

    watchdog.file = file;
    if (watchdog.held != NULL && allocator->held_locks != NULL)
        allocator->held_locks(allocator->context, note_held, NULL);
    if (watchdog.answers != NULL)
        ask_all(run);
    if (!name_frames())
        kit_text_add(next_piece(), "  no names: \"addr2line -pisf -e FILE 0xOFFSET\" tells what FILE+0xOFFSET is\n");
    for (unsigned i = 0; i <= run->config->threads; i++)
        add_thread(&run->threads[i]);
    add_others();
    add_rest();
    kit_text_write(&watchdog.text, file);
}
