#include "report.h"

#include <stdlib.h>
#include <unistd.h>

#include "options.h"
#include "os.h"

void (*hs_report_handler)(const char *line);

void hs_report_misuse(const char *what, const void *address, const char *found, const char *expected)
{
    struct hs_text line;

    hs_text_clear(&line);
    hs_text_add(&line, "heapster: ");
    hs_text_add(&line, what);
    hs_text_add(&line, ": ");
    hs_text_add_address(&line, address);
    hs_text_add(&line, " (");
    hs_text_add(&line, found);
    hs_text_add(&line, ", expected ");
    hs_text_add(&line, expected);
    hs_text_add(&line, ")\n");
    if (hs_report_handler != NULL) {
        hs_report_handler(line.bytes);
        return;
    }
    (void)hs_os_write(STDERR_FILENO, line.bytes, line.length);
    if (hs_load_relaxed(&hs_options.abort_on_misuse))
        abort();
}

void hs_report_option(const char *what, const char *item, size_t length, const char *expected)
{
    struct hs_text line;

    hs_text_clear(&line);
    hs_text_add(&line, "heapster: ");
    hs_text_add(&line, what);
    hs_text_add(&line, ": ");
    hs_text_add_bytes(&line, item, length < 80 ? length : 80);
    hs_text_add(&line, " (ignored, expected ");
    hs_text_add(&line, expected);
    hs_text_add(&line, ")\n");
    (void)hs_os_write(STDERR_FILENO, line.bytes, line.length);
}
