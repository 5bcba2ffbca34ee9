#include "symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pages.h"
#include "run.h"

enum {
    MODULES_MAX = 64,
    PATH_BYTES = 256,
    WANTED_MAX = 1024,
    DIGITS = 20,
    OPTIONS = 7,
    ANSWER_BYTES = 512 * 1024,
    FIND_SECONDS = 15,
};

struct module {
    char path[PATH_BYTES];
    uintptr_t bias; /* what the loader added to the addresses in the file */
    uintptr_t low, high;
};

struct wanted {
    uintptr_t address;
    const struct module *module; /* NULL: none that is known */
    const char *answer;          /* from the name on, up to `answer_end`; NULL: none */
    const char *answer_end;
};

/* What one question is made of. */
struct question {
    char *arguments[OPTIONS + WANTED_MAX + 1];
    char digits[WANTED_MAX][DIGITS];
    struct wanted *asked[WANTED_MAX];
    unsigned count;
};

static struct {
    struct module modules[MODULES_MAX];
    unsigned module_count;
    struct wanted *wanted;
    unsigned wanted_count;
    struct question *question;
    char *answers;
    size_t answer_bytes;
    /* The child's standard output is what this file is then; -1: not prepared. */
    int output;
    posix_spawn_file_actions_t actions;
} symbols = {.output = -1};

/* ---- modules -------------------------------------------------------------------------------------------------------
 */

static const char *program_path(void)
{
    static char path[PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

    path[length > 0 ? length : 0] = '\0';
    return path;
}

static int note_module(struct dl_phdr_info *info, size_t bytes, void *context)
{
    struct module *module = &symbols.modules[symbols.module_count];

    (void)bytes;
    (void)context;
    if (symbols.module_count == MODULES_MAX)
        return 1;
    *module = (struct module){.bias = info->dlpi_addr, .low = UINTPTR_MAX};
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t low = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, high = low + info->dlpi_phdr[i].p_memsz;

        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        module->low = low < module->low ? low : module->low;
        module->high = high > module->high ? high : module->high;
    }
    /* The program itself comes first, and without a name. */
    if (symbols.module_count == 0)
        (void)snprintf(module->path, sizeof module->path, "%s", program_path());
    else
        (void)snprintf(module->path, sizeof module->path, "%s", info->dlpi_name);
    symbols.module_count++;
    return 0;
}

static const struct module *module_of(uintptr_t address)
{
    for (unsigned i = 0; i < symbols.module_count; i++)
        if (address >= symbols.modules[i].low && address < symbols.modules[i].high)
            return &symbols.modules[i];
    return NULL;
}

void kit_symbols_prepare(void)
{
    symbols.module_count = 0;
    (void)dl_iterate_phdr(note_module, NULL);
    if (symbols.output >= 0)
        return;
    symbols.wanted = kit_pages_map(WANTED_MAX * sizeof *symbols.wanted);
    symbols.question = kit_pages_map(sizeof *symbols.question);
    symbols.answers = kit_pages_map(ANSWER_BYTES);
    symbols.output = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (symbols.output >= 0 &&
        (posix_spawn_file_actions_init(&symbols.actions) != 0 ||
         posix_spawn_file_actions_addopen(&symbols.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) != 0 ||
         posix_spawn_file_actions_addopen(&symbols.actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
         posix_spawn_file_actions_adddup2(&symbols.actions, symbols.output, STDOUT_FILENO) != 0)) {
        (void)close(symbols.output);
        symbols.output = -1;
    }
}

/* ---- what is wanted ------------------------------------------------------------------------------------------------
 */

static struct wanted *wanted_of(uintptr_t address)
{
    for (unsigned i = 0; i < symbols.wanted_count; i++)
        if (symbols.wanted[i].address == address)
            return &symbols.wanted[i];
    return NULL;
}

void kit_symbols_clear(void)
{
    symbols.wanted_count = 0;
    symbols.answer_bytes = 0;
}

void kit_symbols_want(uintptr_t address)
{
    if (symbols.output >= 0 && symbols.wanted_count < WANTED_MAX && wanted_of(address) == NULL)
        symbols.wanted[symbols.wanted_count++] = (struct wanted){.address = address, .module = module_of(address)};
}

/* ---- addr2line -----------------------------------------------------------------------------------------------------
 */

/* -a: each answer begins with its address; -p -s: one line, without folders; -i: and one for each inlined caller. */
static void ask_about(const struct module *module, struct question *question)
{
    static char program[] = "addr2line", flags[] = "-apsif", file[] = "-e";
    static char path[PATH_BYTES];
    unsigned count = 0;

    memcpy(path, module->path, sizeof path);
    question->arguments[count++] = program;
    question->arguments[count++] = flags;
    question->arguments[count++] = file;
    question->arguments[count++] = path;
    question->count = 0;
    for (unsigned i = 0; i < symbols.wanted_count; i++) {
        struct wanted *wanted = &symbols.wanted[i];

        if (wanted->module != module)
            continue;
        (void)snprintf(question->digits[question->count], DIGITS, "0x%llx",
                       (unsigned long long)(wanted->address - module->bias));
        question->arguments[count++] = question->digits[question->count];
        question->asked[question->count++] = wanted;
    }
    question->arguments[count] = NULL;
}

/* Each answer begins with an address, in the order in which they were asked for; lines between belong to the one
 * before them. */
static void take_answers(const struct question *question, const char *text, const char *end)
{
    struct wanted *wanted = NULL;
    unsigned next = 0;

    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text)), *name = NULL;

        if (line_end == NULL)
            return;
        if (line_end - text > 2 && memcmp(text, "0x", 2) == 0)
            name = memchr(text, ' ', (size_t)(line_end - text));
        if (name != NULL && next == question->count)
            return;
        if (name != NULL) {
            wanted = question->asked[next++];
            wanted->answer = name + 1;
        }
        if (wanted != NULL)
            wanted->answer_end = line_end;
        text = line_end + 1;
    }
}

/* Until the other end is closed, or the time is over. */
static void read_answers(int input, double deadline)
{
    struct pollfd ready = {.fd = input, .events = POLLIN};
    ssize_t got = 1;

    while (got != 0 && symbols.answer_bytes < ANSWER_BYTES && kit_now() < deadline) {
        if (poll(&ready, 1, 50) <= 0)
            continue;
        got = read(input, symbols.answers + symbols.answer_bytes, ANSWER_BYTES - symbols.answer_bytes);
        if (got < 0 && errno != EINTR)
            return;
        symbols.answer_bytes += got > 0 ? (size_t)got : 0;
    }
}

/* Whether it is running at all. The surroundings are not handed on: a library that they preload may be what hangs. */
static bool run_addr2line(struct question *question, double deadline)
{
    static char locale[] = "LC_ALL=C";
    char *const environment[] = {locale, NULL};
    int ends[2], failure;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    (void)dup3(ends[1], symbols.output, O_CLOEXEC);
    (void)close(ends[1]);
    failure = posix_spawnp(&child, question->arguments[0], &symbols.actions, NULL, question->arguments, environment);
    ends[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup3(ends[1], symbols.output, O_CLOEXEC);
    (void)close(ends[1]);
    if (failure == 0) {
        read_answers(ends[0], deadline);
        (void)kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ; /* a killed child does not take long */
    }
    (void)close(ends[0]);
    return failure == 0;
}

bool kit_symbols_find(void)
{
    double deadline = kit_now() + (double)FIND_SECONDS;

    for (unsigned i = 0; i < symbols.module_count; i++) {
        const char *begin = symbols.answers + symbols.answer_bytes;

        ask_about(&symbols.modules[i], symbols.question);
        if (symbols.question->count == 0)
            continue;
        if (!run_addr2line(symbols.question, deadline))
            return false;
        take_answers(symbols.question, begin, symbols.answers + symbols.answer_bytes);
    }
    return true;
}

/* ---- text ----------------------------------------------------------------------------------------------------------
 */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static void add_place(struct kit_text *text, uintptr_t address)
{
    const struct module *module = module_of(address);

    if (module != NULL)
        kit_text_add(text, "%s+0x%llx", last_part(module->path), (unsigned long long)(address - module->bias));
    else
        kit_text_add(text, "0x%llx", (unsigned long long)address);
}

/* Where `what` begins in the line; its end where it is not there. */
static const char *find_in(const char *line, const char *line_end, const char *what)
{
    const char *found = memmem(line, (size_t)(line_end - line), what, strlen(what));

    return found != NULL ? found : line_end;
}

/* "function at file:line (discriminator 1)"; "function at ??:?" or "at :?" where only the name is known. */
static void add_line(struct kit_text *text, const char *line, const char *line_end, uintptr_t address)
{
    const char *place = find_in(line, line_end, " at "), *end = find_in(line, line_end, " (discriminator ");
    bool has_place = place < line_end && place[4] != '?' && place[4] != ':';

    kit_text_add(text, "%.*s", (int)((has_place ? end : place) - line), line);
    if (!has_place) {
        kit_text_add(text, " (");
        add_place(text, address);
        kit_text_add(text, ")");
    }
}

void kit_text_add_symbol(struct kit_text *text, uintptr_t address, const char *indent)
{
    const struct wanted *wanted = wanted_of(address);
    const char *line = wanted != NULL ? wanted->answer : NULL, *line_end;

    if (line == NULL || (wanted->answer_end - line > 2 && memcmp(line, "??", 2) == 0)) {
        kit_text_add(text, "%s", indent);
        add_place(text, address);
        kit_text_add(text, "\n");
        return;
    }
    for (; line < wanted->answer_end; line = line_end + 1) {
        line_end = memchr(line, '\n', (size_t)(wanted->answer_end - line));
        line_end = line_end != NULL ? line_end : wanted->answer_end;
        kit_text_add(text, "%s", indent);
        add_line(text, line, line_end, address);
        kit_text_add(text, "\n");
    }
}
