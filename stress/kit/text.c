#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void kit_text_add(struct kit_text *text, const char *format, ...)
{
    size_t room = sizeof text->bytes - text->length;
    va_list arguments;
    int wanted;

    va_start(arguments, format);
    wanted = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    if (wanted > 0)
        text->length += (size_t)wanted < room ? (size_t)wanted : room - 1;
}

void kit_text_write(struct kit_text *text, int file)
{
    size_t done = 0;

    while (done < text->length) {
        ssize_t wrote = write(file, text->bytes + done, text->length - done);

        if (wrote < 0 && errno != EINTR)
            break;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    text->length = 0;
}
