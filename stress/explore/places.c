#include "places.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WANTED_MOST = 4096, DIGITS = 20, OPTIONS = 4, ANSWER_BYTES = 4 << 20, FIND_SECONDS = 20, NAME_BYTES = 96 };

static struct place places[WANTED_MOST]; /* ordered by address from places_find on */
static unsigned place_count;
static bool is_ordered;
static char unknown[WANTED_MOST][NAME_BYTES];
static char *answers;
static size_t answer_bytes;

/* One file, and what it is asked. */
struct module {
    char path[4096];
    uintptr_t bias; /* what the loader added to the addresses in the file */
    uintptr_t low, high;
};

struct question {
    char *arguments[OPTIONS + WANTED_MOST + 1];
    char digits[WANTED_MOST][DIGITS];
    struct place *asked[WANTED_MOST];
    unsigned count;
};

void places_clear(void)
{
    place_count = 0;
    answer_bytes = 0;
    is_ordered = false;
}

static int compare_addresses(const void *one, const void *other)
{
    uintptr_t a = (uintptr_t)((const struct place *)one)->address;
    uintptr_t b = (uintptr_t)((const struct place *)other)->address;

    return (a > b) - (a < b);
}

void places_want(const void *address)
{
    if (address == NULL)
        return;
    for (unsigned i = place_count; i > 0; i--)
        if (places[i - 1].address == address)
            return;
    if (place_count < WANTED_MOST)
        places[place_count++] = (struct place){.address = address};
}

const struct place *places_get(const void *address)
{
    const struct place wanted = {.address = address};

    if (!is_ordered)
        return NULL;
    return bsearch(&wanted, places, place_count, sizeof *places, compare_addresses);
}

bool places_pass_through(const struct place *place, const char *file)
{
    for (unsigned i = 0; i < place->frame_count; i++)
        if (strcmp(place->frames[i].file, file) == 0)
            return true;
    return false;
}

/* ---- modules ----------------------------------------------------------------------------------------------------- */

struct search {
    uintptr_t address;
    struct module *module;
};

static int compare_module(struct dl_phdr_info *info, size_t bytes, void *context)
{
    const struct search *search = context;
    struct module *module = search->module;
    ssize_t length = -1;

    (void)bytes;
    module->low = UINTPTR_MAX;
    module->high = 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t low = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, high = low + info->dlpi_phdr[i].p_memsz;

        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        module->low = low < module->low ? low : module->low;
        module->high = high > module->high ? high : module->high;
    }
    if (search->address < module->low || search->address >= module->high)
        return 0;
    module->bias = info->dlpi_addr;
    /* The program itself has no name. */
    if (info->dlpi_name[0] == '\0')
        length = readlink("/proc/self/exe", module->path, sizeof module->path - 1);
    if (length >= 0)
        module->path[length] = '\0';
    else
        (void)snprintf(module->path, sizeof module->path, "%s", info->dlpi_name);
    return 1;
}

static bool find_module(const void *address, struct module *module)
{
    struct search search = {(uintptr_t)address, module};

    return dl_iterate_phdr(compare_module, &search) != 0;
}

bool places_is_code(const void *address)
{
    static struct module module;

    return find_module(address, &module);
}

/* ---- addr2line --------------------------------------------------------------------------------------------------- */

/* -a: each answer begins with its address; -p: on one line; -i: and one line for each inlined caller. An address is
 * that of the instruction after a call. */
static void ask_about(const struct module *module, struct question *question)
{
    static char program[] = "addr2line", flags[] = "-apiCf", file[] = "-e";
    unsigned count = 0;

    question->arguments[count++] = program;
    question->arguments[count++] = flags;
    question->arguments[count++] = file;
    question->arguments[count++] = (char *)(uintptr_t)module->path;
    question->count = 0;
    for (unsigned i = 0; i < place_count; i++) {
        uintptr_t address = (uintptr_t)places[i].address;

        if (address < module->low || address >= module->high)
            continue;
        (void)snprintf(question->digits[question->count], DIGITS, "0x%llx",
                       (unsigned long long)(address - module->bias - 1));
        question->arguments[count++] = question->digits[question->count];
        question->asked[question->count++] = &places[i];
    }
    question->arguments[count] = NULL;
}

static double now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Until the other end is closed, or the time is over. */
static void read_answers(int input)
{
    struct pollfd ready = {.fd = input, .events = POLLIN};
    double deadline = now() + (double)FIND_SECONDS;
    ssize_t got = 1;

    while (got != 0 && answer_bytes < ANSWER_BYTES && now() < deadline) {
        if (poll(&ready, 1, 50) <= 0)
            continue;
        got = read(input, answers + answer_bytes, ANSWER_BYTES - answer_bytes);
        if (got < 0 && errno != EINTR)
            return;
        answer_bytes += got > 0 ? (size_t)got : 0;
    }
}

static bool spawn(struct question *question, int output, pid_t *child)
{
    static char locale[] = "LC_ALL=C";
    char *const environment[] = {locale, NULL};
    posix_spawn_file_actions_t actions;
    int failure;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return false;
    failure = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (failure == 0)
        failure = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (failure == 0)
        failure = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (failure == 0)
        failure = posix_spawnp(child, question->arguments[0], &actions, NULL, question->arguments, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    return failure == 0;
}

static bool run_addr2line(struct question *question)
{
    int ends[2];
    pid_t child;
    bool is_running;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    is_running = spawn(question, ends[1], &child);
    (void)close(ends[1]);
    if (is_running) {
        read_answers(ends[0]);
        (void)kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ; /* a killed child does not take long */
    }
    (void)close(ends[0]);
    return is_running;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* "function at file:line (discriminator 1)", or "?? ??:0" where nothing is known. */
static void take_frame(struct place *place, char *line)
{
    char *at = strstr(line, " at "), *colon = at != NULL ? strrchr(at, ':') : NULL;
    struct frame *frame = &place->frames[place->frame_count];

    if (colon == NULL || place->frame_count == FRAMES_MOST || strncmp(line, "??", 2) == 0)
        return;
    *at = *colon = '\0';
    *frame = (struct frame){line, last_part(at + 4), (unsigned)strtoul(colon + 1, NULL, 10)};
    place->frame_count++;
}

/* Each answer begins with an address, in the order in which they were asked for; lines between belong to the one
 * before them. */
static void take_answers(const struct question *question, char *text)
{
    static const char inlined[] = " (inlined by) ";
    struct place *place = NULL;
    unsigned next = 0;

    for (char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        char *name = strncmp(text, "0x", 2) == 0 ? strchr(text, ' ') : NULL;

        *end = '\0';
        if (name != NULL && next == question->count)
            return;
        if (name != NULL) {
            place = question->asked[next++];
            take_frame(place, name + 1);
        } else if (place != NULL && strncmp(text, inlined, strlen(inlined)) == 0) {
            take_frame(place, text + strlen(inlined));
        }
    }
}

static bool is_accessor(const char *file)
{
    static const char *const files[] = {"sync.h", "sync_explored.h", "block.h", "os_explored.c"};

    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(file, files[i]) == 0)
            return true;
    return false;
}

/* Places that addr2line did not tell of get the one frame that there is. */
static void complete(struct place *place, char *room)
{
    static struct module module;

    if (place->frame_count == 0) {
        if (find_module(place->address, &module))
            (void)snprintf(room, NAME_BYTES, "%.64s+0x%llx", last_part(module.path),
                           (unsigned long long)((uintptr_t)place->address - module.bias));
        else
            (void)snprintf(room, NAME_BYTES, "%p", place->address);
        place->frames[place->frame_count++] = (struct frame){"", room, 0};
    }
    for (place->telling = 0; place->telling < place->frame_count - 1; place->telling++)
        if (!is_accessor(place->frames[place->telling].file))
            break;
}

bool places_find(void)
{
    static struct module module;
    static struct question question;
    uintptr_t known_to = 0;
    bool has_run = true;

    if (answers == NULL)
        answers = malloc(ANSWER_BYTES + 1);
    qsort(places, place_count, sizeof *places, compare_addresses);
    is_ordered = true;
    for (unsigned i = 0; answers != NULL && has_run && i < place_count; i++) {
        char *begin = answers + answer_bytes;

        if ((uintptr_t)places[i].address < known_to || !find_module(places[i].address, &module))
            continue;
        known_to = module.high;
        ask_about(&module, &question);
        has_run = run_addr2line(&question);
        answers[answer_bytes] = '\0';
        take_answers(&question, begin);
    }
    for (unsigned i = 0; i < place_count; i++)
        complete(&places[i], unknown[i]);
    return has_run && answers != NULL;
}
