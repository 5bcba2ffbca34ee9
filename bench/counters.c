#include "counters.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heapster.h"

static int (*print_statistics)(int file, enum heapster_format format);
static int scratch = -1;

void bench_counters_find(void)
{
    *(void **)&print_statistics = dlsym(RTLD_DEFAULT, "heapster_stats_print");
    if (print_statistics != NULL)
        scratch = memfd_create("heapster-bench", MFD_CLOEXEC);
}

bool bench_counters_exist(void)
{
    return scratch >= 0;
}

/* "heapster: name value", a line each. */
static void parse_counters(char *text, struct bench_counters *out)
{
    static const char prefix[] = "heapster: ";
    char *rest;

    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *name = strncmp(line, prefix, sizeof prefix - 1) == 0 ? line + sizeof prefix - 1 : line;
        char *space = strchr(name, ' ');
        struct bench_counter *counter = &out->each[out->count];

        if (space == NULL || (size_t)(space - name) >= sizeof counter->name || out->count == BENCH_COUNTERS_MAX)
            continue;
        (void)memcpy(counter->name, name, (size_t)(space - name));
        counter->name[space - name] = '\0';
        counter->value = strtoull(space + 1, NULL, 10);
        out->count++;
    }
}

void bench_counters_read(struct bench_counters *out)
{
    char text[BENCH_COUNTERS_MAX * (BENCH_COUNTER_NAME + 32)];
    ssize_t length;

    out->count = 0;
    if (!bench_counters_exist() || ftruncate(scratch, 0) != 0 || lseek(scratch, 0, SEEK_SET) != 0 ||
        print_statistics(scratch, HEAPSTER_TEXT) != 0)
        return;
    length = pread(scratch, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    parse_counters(text, out);
}

uint64_t bench_counters_value(const struct bench_counters *counters, const char *name)
{
    for (unsigned i = 0; i < counters->count; i++)
        if (strcmp(counters->each[i].name, name) == 0)
            return counters->each[i].value;
    return 0;
}

uint64_t bench_counters_os_calls(const struct bench_counters *counters)
{
    static const char first[] = "os_", last[] = "_calls";
    uint64_t calls = 0;

    for (unsigned i = 0; i < counters->count; i++) {
        const char *name = counters->each[i].name;
        size_t length = strlen(name);

        if (strncmp(name, first, sizeof first - 1) == 0 && length > sizeof last &&
            strcmp(name + length - (sizeof last - 1), last) == 0)
            calls += counters->each[i].value;
    }
    return calls;
}
