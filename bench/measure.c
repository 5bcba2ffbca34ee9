#include "measure.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t nanoseconds_of(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

struct bench_usage bench_usage_now(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (struct bench_usage){
        .cpu_ns = nanoseconds_of(usage.ru_utime) + nanoseconds_of(usage.ru_stime),
        .minor_faults = (uint64_t)usage.ru_minflt,
    };
}

int bench_rss_open(void)
{
    return open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

/* The second number, in pages. */
size_t bench_rss_read(int statm)
{
    char text[128], *at;
    ssize_t length = pread(statm, text, sizeof text - 1, 0);

    if (length <= 0)
        return 0;
    text[length] = '\0';
    (void)strtoull(text, &at, 10);
    return (size_t)strtoull(at, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

size_t bench_rss_now(void)
{
    int statm = bench_rss_open();
    size_t bytes = bench_rss_read(statm);

    if (statm >= 0)
        (void)close(statm);
    return bytes;
}

size_t bench_rss_peak(void)
{
    static const char field[] = "\nVmHWM:";
    char text[4096];
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    const char *at;

    if (file >= 0)
        (void)close(file);
    text[length > 0 ? length : 0] = '\0';
    at = strstr(text, field);
    return at != NULL ? (size_t)strtoull(at + sizeof field - 1, NULL, 10) * 1024 : 0;
}

void bench_rss_forget_peak(void)
{
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    ssize_t ignored = file >= 0 ? write(file, "5", 1) : 0;

    (void)ignored;
    if (file >= 0)
        (void)close(file);
}
