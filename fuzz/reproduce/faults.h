/* With -DWITH_FAULTS, and the archive libheapster.a, whose own name for this is linked. */
#ifdef WITH_FAULTS
extern bool (*hs_os_fault)(int call);

enum { OS_MMAP = 1, OS_MREMAP = 3 };

static const unsigned failing[] = FAILING; /* which calls fail, the first is 1; 0 ends them */
static unsigned calls, failed;

static bool fails(int call)
{
    calls++;
    if (failing[failed] != calls)
        return false;
    failed++;
    may_fail = true;
    if (call != OS_MMAP && call != OS_MREMAP)
        errno = ENOMEM;
    return true;
}

static void start_failing(void)
{
    hs_os_fault = fails;
}

static void stop_failing(void)
{
    hs_os_fault = NULL;
    (void)fprintf(stderr, "%u of %u calls of the OS failed\n", failed, calls);
}
#else
static void start_failing(void)
{
}

static void stop_failing(void)
{
}
#endif
