/*
 * driver: a main for where there is no engine, for gcc, Valgrind and every sanitizer.
 *
 *     fuzz_<target> FILE|FOLDER...             replays inputs
 *     fuzz_<target> --alike FILE|FOLDER...     replays inputs once more, the last one first: each must mean the same,
 *                                             whatever came before it
 *     fuzz_<target> --search SECONDS [SEED]    draws inputs and mutates them, without looking at coverage;
 *                                             what crashes is written to the file that FUZZ_CRASH names
 *     fuzz_<target> --time SECONDS [OPS]       runs drawn inputs of so many operations, says how fast
 *     fuzz_<target> --write FILE OPS SEED      writes the drawn input
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rng.h"
#include "target.h"

enum { INPUT_MOST = 1 << 16, POOL = 256, CHECK_EVERY = 64, OPS_DEFAULT = 64, HANG_SECONDS = 120 };

/* The sanitizers', where one is linked in. */
void set_death_callback(void (*callback)(void)) __asm__("__sanitizer_set_death_callback") __attribute__((weak));

static uint8_t input[INPUT_MOST];
static struct kit_rng chance;

/* What libFuzzer offers its custom mutators: here one byte more, less or other. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t most)
{
    size_t at = kit_rng_below(&chance, bytes + 1);

    switch (kit_rng_below(&chance, 3)) {
    case 0:
        if (bytes == most)
            return bytes;
        memmove(data + at + 1, data + at, bytes - at);
        data[at] = (uint8_t)kit_rng_next(&chance);
        return bytes + 1;
    case 1:
        if (at == bytes || bytes == 1)
            return bytes;
        memmove(data + at, data + at + 1, bytes - at - 1);
        return bytes - 1;
    default:
        if (at < bytes)
            data[at] = (uint8_t)kit_rng_next(&chance);
        return bytes;
    }
}

/* Of the processor: on a machine that has other work too, the time of day says nothing. */
static double now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- replaying -----------------------------------------------------------------------------------------------------
 */

/* All that are to be replayed are found first: what else the process allocates moves the break. */
static struct replay {
    char *path;
    uint64_t digest;
} * replays;
static size_t replay_count, replay_room;

static void make_room(void)
{
    struct replay *grown;

    if (replay_count < replay_room)
        return;
    replay_room = 2 * replay_room + 64;
    grown = realloc(replays, replay_room * sizeof *replays);
    if (grown == NULL)
        exit(1);
    replays = grown;
}

static void add_replay(const char *path)
{
    make_room();
    replays[replay_count].path = strdup(path);
    if (replays[replay_count++].path == NULL)
        exit(1);
}

static uint64_t replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t bytes;
    uint8_t *exact;

    if (file == NULL) {
        (void)fprintf(stderr, "fuzz_%s: cannot read %s\n", fuzz_target.name, path);
        exit(1);
    }
    bytes = fread(input, 1, sizeof input, file);
    (void)fclose(file);
    /* Exactly as long as it is, so that who reads beyond it is seen. */
    exact = malloc(bytes > 0 ? bytes : 1);
    if (exact == NULL)
        exit(1);
    memcpy(exact, input, bytes);
    (void)LLVMFuzzerTestOneInput(exact, bytes);
    free(exact);
    return fuzz_digest;
}

static void replay_all(void)
{
    for (size_t i = 0; i < replay_count; i++)
        replays[i].digest = replay_file(replays[i].path);
    (void)printf("fuzz_%s: %zu inputs replayed\n", fuzz_target.name, replay_count);
}

/* The last one first. Returns how many mean something else than before. */
static size_t replay_backwards(void)
{
    size_t others = 0;

    for (size_t i = replay_count; i-- > 0;) {
        if (replay_file(replays[i].path) == replays[i].digest)
            continue;
        (void)fprintf(stderr, "fuzz_%s: means something else after others: %s\n", fuzz_target.name, replays[i].path);
        others++;
    }
    return others;
}

struct folder {
    struct folder *next;
    char path[PATH_MAX];
};

/* Those that are still to be read. */
static struct folder *pending;

static int is_no_hidden_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void find_or_keep(const char *path)
{
    struct folder *folder;
    struct stat about;

    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode)) {
        add_replay(path);
        return;
    }
    folder = malloc(sizeof *folder);
    if (folder == NULL)
        exit(1);
    (void)snprintf(folder->path, sizeof folder->path, "%s", path);
    folder->next = pending;
    pending = folder;
}

/* By name. */
static void find_in_folder(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_no_hidden_file, alphasort);

    if (count < 0) {
        (void)fprintf(stderr, "fuzz_%s: cannot read %s\n", fuzz_target.name, path);
        exit(1);
    }
    for (int i = 0; i < count; i++) {
        char entry[2 * PATH_MAX];

        (void)snprintf(entry, sizeof entry, "%s/%s", path, entries[i]->d_name);
        find_or_keep(entry);
        free(entries[i]);
    }
    free(entries);
}

/* A file, or all files in a folder and below it; hidden ones are no inputs. MemorySanitizer knows what scandir writes,
 * and not what fts does. */
static void find_inputs(const char *path)
{
    find_or_keep(path);
    while (pending != NULL) {
        struct folder *folder = pending;

        pending = folder->next;
        find_in_folder(folder->path);
        free(folder);
    }
}

/* ---- drawing -------------------------------------------------------------------------------------------------------
 */

static size_t draw_input(uint64_t seed, unsigned ops)
{
    size_t bytes = 0;

    if (fuzz_target.kinds != NULL)
        return fuzz_generate(input, sizeof input, ops, seed);
    for (unsigned i = 0; i < ops / 8 + 1; i++)
        bytes = fuzz_insert_word(input, bytes, sizeof input, kit_rng_next(&chance));
    return bytes;
}

static void write_input(const char *path, size_t bytes)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (file < 0 || write(file, input, bytes) != (ssize_t)bytes || close(file) != 0)
        _exit(2);
}

/* What the search is at, for the handler. */
static volatile size_t searched_bytes;
static volatile uint64_t searched_inputs;
static const char *crash_path;

/* In a handler, where nothing may be called that formats. */
struct line {
    char text[160];
    size_t length;
};

static void add_text(struct line *line, const char *text)
{
    for (; *text != '\0' && line->length < sizeof line->text; text++)
        line->text[line->length++] = *text;
}

static void add_number(struct line *line, uint64_t number)
{
    char digits[21] = {0};
    size_t first = sizeof digits - 1;

    do
        digits[--first] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    add_text(line, digits + first);
}

static void say_found(const char *how, unsigned number)
{
    struct line line = {.length = 0};

    add_text(&line, "fuzz_");
    add_text(&line, fuzz_target.name);
    add_text(&line, ": found by input ");
    add_number(&line, searched_inputs);
    add_text(&line, how);
    if (number != 0)
        add_number(&line, number);
    add_text(&line, "\n");
    (void)!write(STDERR_FILENO, line.text, line.length);
}

static void keep_crash(int number)
{
    (void)signal(number, SIG_DFL);
    write_input(crash_path, searched_bytes);
    say_found(", signal ", (unsigned)number);
    (void)raise(number);
}

/* A sanitizer that has found something ends the process without a signal. */
static void keep_at_death(void)
{
    write_input(crash_path, searched_bytes);
    say_found(", a sanitizer", 0);
}

/* SIGALRM: an input that does not end. */
static void catch_crashes(void)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGALRM};
    const char *path = getenv("FUZZ_CRASH");

    crash_path = path != NULL ? path : "crash";
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        (void)signal(numbers[i], keep_crash);
    if (set_death_callback != NULL)
        set_death_callback(keep_at_death);
}

static void search(double seconds, uint64_t seed)
{
    double began = now();
    uint64_t runs = 0;
    size_t bytes = 0;

    catch_crashes();
    chance.state = seed;
    do {
        if (runs % CHECK_EVERY == 0)
            (void)alarm(HANG_SECONDS);
        if (runs % 8 == 0)
            bytes = draw_input(kit_rng_next(&chance), (unsigned)kit_rng_below(&chance, OPS_DEFAULT) + 1);
        else
            bytes = LLVMFuzzerCustomMutator(input, bytes, sizeof input, (unsigned)kit_rng_next(&chance));
        searched_bytes = bytes;
        searched_inputs = runs + 1;
        (void)LLVMFuzzerTestOneInput(input, bytes);
        runs++;
    } while (runs % CHECK_EVERY != 0 || now() - began < seconds);
    (void)alarm(0);
    (void)printf("fuzz_%s: %llu inputs in %.1f s, nothing found\n", fuzz_target.name, (unsigned long long)runs,
                 now() - began);
}

static void measure(double seconds, unsigned ops)
{
    static uint8_t drawn[POOL][FUZZ_HEADER_BYTES + (FUZZ_OPS_MOST + 1) * FUZZ_OP_BYTES + FUZZ_TAIL_MOST];
    size_t bytes[POOL];
    uint64_t runs = 0;
    double began;

    for (unsigned i = 0; i < POOL; i++) {
        bytes[i] = draw_input(i + 1, ops);
        memcpy(drawn[i], input, bytes[i]);
        (void)LLVMFuzzerTestOneInput(drawn[i], bytes[i]);
    }
    began = now();
    do {
        for (unsigned i = 0; i < CHECK_EVERY; i++, runs++)
            (void)LLVMFuzzerTestOneInput(drawn[runs % POOL], bytes[runs % POOL]);
    } while (now() - began < seconds);
    (void)printf("fuzz_%s: %u operations an input, walker %s: %.0f executions per second of the processor\n",
                 fuzz_target.name, ops, fuzz_walks_each ? "after each operation" : "at the end",
                 (double)runs / (now() - began));
}

static int usage(FILE *out, const char *program, int status)
{
    (void)fprintf(out,
                  "usage: %s [--walk=each] FILE|FOLDER...  replays inputs\n"
                  "       --alike FILE|FOLDER...   the same, then backwards: each must mean the same again\n"
                  "       --search SECONDS [SEED]  draws inputs and mutates them\n"
                  "       --time SECONDS [OPS]     says how fast drawn inputs run\n"
                  "       --write FILE OPS SEED    writes a drawn input\n",
                  program);
    return status;
}

int main(int argc, char **argv)
{
    bool again = false;
    int first = 1;

    (void)LLVMFuzzerInitialize(&argc, &argv);
    if (first < argc && fuzz_asks_for_help(argv[first]))
        return usage(stdout, argv[0], 0);
    if (argc - first >= 2 && strcmp(argv[first], "--search") == 0) {
        search(strtod(argv[first + 1], NULL), argc - first > 2 ? strtoull(argv[first + 2], NULL, 0) : 1);
        return 0;
    }
    if (argc - first >= 2 && strcmp(argv[first], "--time") == 0) {
        measure(strtod(argv[first + 1], NULL),
                argc - first > 2 ? (unsigned)strtoul(argv[first + 2], NULL, 0) : (unsigned)OPS_DEFAULT);
        return 0;
    }
    if (argc - first == 4 && strcmp(argv[first], "--write") == 0) {
        write_input(argv[first + 1],
                    draw_input(strtoull(argv[first + 3], NULL, 0), (unsigned)strtoul(argv[first + 2], NULL, 0)));
        return 0;
    }
    if (first < argc && strcmp(argv[first], "--alike") == 0) {
        again = true;
        first++;
    }
    if (first == argc || argv[first][0] == '-') {
        fuzz_print_flags(stderr);
        return usage(stderr, argv[0], 2);
    }
    for (int i = first; i < argc; i++)
        find_inputs(argv[i]);
    replay_all();
    return again && replay_backwards() != 0;
}
