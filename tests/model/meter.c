#include "meter.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char *watched;
static size_t watched_bytes, page_bytes;
static volatile size_t pages;
static struct sigaction previous;

static void protect(char *base, size_t bytes, int protection)
{
    if (mprotect(base, bytes, protection) != 0)
        abort();
}

/* A fault elsewhere is none of ours: whoever handled it before meets it again. */
static void count_fault(int number, siginfo_t *info, void *context)
{
    size_t offset = (size_t)((uintptr_t)info->si_addr - (uintptr_t)watched);

    (void)context;
    if (offset >= watched_bytes) {
        (void)sigaction(number, &previous, NULL);
        return;
    }
    pages++;
    if (pages < METER_PAGES_MAX)
        protect(watched + offset / page_bytes * page_bytes, page_bytes, PROT_READ | PROT_WRITE);
    else
        protect(watched, watched_bytes, PROT_READ | PROT_WRITE);
}

void meter_open(char *base, size_t bytes)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_sigaction = count_fault;
    action.sa_flags = SA_SIGINFO;
    watched = base;
    watched_bytes = bytes;
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (sigaction(SIGSEGV, &action, &previous) != 0)
        abort();
}

void meter_close(void)
{
    (void)sigaction(SIGSEGV, &previous, NULL);
}

void meter_begin(void)
{
    pages = 0;
    protect(watched, watched_bytes, PROT_NONE);
}

size_t meter_end(void)
{
    protect(watched, watched_bytes, PROT_READ | PROT_WRITE);
    return pages;
}
