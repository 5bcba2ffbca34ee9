#include "pages.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *map(size_t bytes, int sharing)
{
    static const char complaint[] = "heapster-stress: no memory for the kit's own tables\n";
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED) {
        ssize_t ignored = write(STDERR_FILENO, complaint, sizeof complaint - 1);

        (void)ignored;
        _exit(1);
    }
    return base;
}

void *kit_pages_map(size_t bytes)
{
    return map(bytes, MAP_PRIVATE);
}

void *kit_pages_map_shared(size_t bytes)
{
    return map(bytes, MAP_SHARED);
}

void kit_pages_unmap(void *base, size_t bytes)
{
    (void)munmap(base, bytes);
}

size_t kit_pages_resident(void)
{
    char text[128];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    const char *second;

    if (file >= 0)
        (void)close(file);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    second = strchr(text, ' ');
    return second != NULL ? (size_t)strtoull(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}
