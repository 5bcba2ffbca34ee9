#include "page.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "heapster.h"
#include "story.h"

enum { TEXT_BYTES = 2048 };

/* ---- strings ----------------------------------------------------------------------------------------------------- */

/* The length of the well-formed UTF-8 character that begins there; 0 where none does. */
static size_t character_bytes(const unsigned char *text)
{
    uint32_t value = text[0], least = text[0] < 0xE0 ? 0x80 : text[0] < 0xF0 ? 0x800 : 0x10000;
    size_t bytes = text[0] < 0x80 ? 1 : text[0] < 0xC0 ? 0 : text[0] < 0xE0 ? 2 : text[0] < 0xF0 ? 3 : 4;

    if (bytes < 2 || text[0] >= 0xF8)
        return text[0] < 0xF8 ? bytes : 0;
    value &= 0x7FU >> bytes;
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3F);
    }
    return value >= least && value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF) ? bytes : 0;
}

/* A JSON string that may stand in a script element: no "<" is left. Bytes that are no character are replaced. */
static void write_string(FILE *out, const char *string)
{
    const unsigned char *text = (const unsigned char *)string;

    (void)fputc('"', out);
    while (*text != '\0') {
        size_t bytes = character_bytes(text);

        if (bytes == 0)
            (void)fputs("\\ufffd", out);
        else if (*text < 0x20 || *text == 0x7F || strchr("\"\\<>&", *text) != NULL)
            (void)fprintf(out, "\\u%04x", *text);
        else
            (void)fwrite(text, 1, bytes, out);
        text += bytes == 0 ? 1 : bytes;
    }
    (void)fputc('"', out);
}

static void write_named(FILE *out, const char *name, const char *string)
{
    (void)fprintf(out, ", \"%s\": ", name);
    write_string(out, string);
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static void write_program(FILE *out, const struct program *program)
{
    char text[TEXT_BYTES];

    program_print(program, text, sizeof text);
    write_named(out, "program", text);
    write_named(out, "options", program->options);
    story_say_ops(&program->set_up, text, sizeof text);
    write_named(out, "before", text);
    (void)fputs(",\n \"threads\": [", out);
    for (unsigned i = 0; i < program->thread_count; i++) {
        story_say_ops(&program->threads[i], text, sizeof text);
        (void)fputs(i == 0 ? "" : ", ", out);
        write_string(out, text);
    }
    (void)fputs("]", out);
}

static void write_explanations(FILE *out, const char *failure)
{
    char text[TEXT_BYTES];
    const char *separator = "";

    (void)fputs(",\n \"explained\": [", out);
    while (story_explain(&failure, text, sizeof text)) {
        (void)fputs(separator, out);
        write_string(out, text);
        separator = ", ";
    }
    (void)fputs("]", out);
}

/* Where they stood as it failed. */
static void write_threads(FILE *out, const struct story *story, const char *failure)
{
    char text[TEXT_BYTES];

    (void)fputs(",\n \"stand\": [", out);
    for (unsigned i = 0; failure[0] != '\0' && story_say_thread(story, i, text, sizeof text); i++) {
        (void)fputs(i == 0 ? "" : ", ", out);
        write_string(out, text);
    }
    (void)fputs("]", out);
}

static void write_place(FILE *out, const struct place *place)
{
    char text[TEXT_BYTES];

    (void)fprintf(out, ", \"frames\": [");
    for (unsigned i = place->telling; i < place->frame_count; i++) {
        const struct frame *frame = &place->frames[i];

        if (frame->line == 0)
            (void)snprintf(text, sizeof text, "%s", frame->file);
        else
            (void)snprintf(text, sizeof text, "%s:%u", frame->file, frame->line);
        (void)fputs(i == place->telling ? "[" : ", [", out);
        write_string(out, text);
        (void)fputs(", ", out);
        write_string(out, frame->function);
        (void)fputs("]", out);
    }
    (void)fputs("]", out);
}

/* What is empty is left out. */
static void write_line(FILE *out, const struct line *line)
{
    (void)fprintf(out, "{\"thread\": %u, \"operation\": \"%s\"", line->thread, line->operation);
    if (line->location[0] != '\0')
        write_named(out, "location", line->location);
    if (line->value[0] != '\0')
        write_named(out, "value", line->value);
    if (line->older[0] != '\0')
        write_named(out, "older", line->older);
    if (line->folded != 0)
        (void)fprintf(out, ", \"folded\": %u", line->folded);
    if (line->is_switch)
        write_named(out, "why", line->why);
    if (line->is_preemption)
        (void)fputs(", \"preempts\": true", out);
    if (line->place != NULL)
        write_place(out, line->place);
    (void)fputs("}", out);
}

static void write_data(FILE *out, const struct program *program, const char *token, const char *failure)
{
    static struct story story;
    struct line line;
    const char *separator = "\n  ";

    story_begin(&story, failure);
    (void)fprintf(out, "{\"heapster\": \"%d.%d.%d\"", HEAPSTER_VERSION_MAJOR, HEAPSTER_VERSION_MINOR,
                  HEAPSTER_VERSION_PATCH);
    write_program(out, program);
    write_named(out, "token", token);
    write_named(out, "failure", failure);
    write_explanations(out, failure);
    (void)fputs(",\n \"events\": [", out);
    while (story_next(&story, &line)) {
        (void)fputs(separator, out);
        write_line(out, &line);
        separator = ",\n  ";
    }
    (void)fputs("\n]", out);
    write_threads(out, &story, failure);
    (void)fputs("}\n", out);
    story_end(&story);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static bool close_file(FILE *out)
{
    bool failed = fflush(out) != 0 || ferror(out) != 0;
    int cause = errno != 0 ? errno : EIO;

    if (out != stdout && fclose(out) != 0 && !failed) {
        failed = true;
        cause = errno;
    }
    if (failed)
        errno = cause;
    return !failed;
}

bool page_write(const char *path, const struct program *program, const char *token, const char *failure)
{
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

    if (out == NULL)
        return false;
    errno = 0;
    (void)fwrite(stress_page_head, 1, stress_page_head_bytes, out);
    write_data(out, program, token, failure);
    (void)fwrite(stress_page_tail, 1, stress_page_tail_bytes, out);
    return close_file(out);
}
