#include "output.h"

#include <errno.h>
#include <string.h>

FILE *stress_output_open(const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

    errno = file != NULL ? 0 : errno;
    return file;
}

bool stress_output_close(FILE *file)
{
    bool failed = fflush(file) != 0 || ferror(file) != 0;
    int cause = errno != 0 ? errno : EIO;

    if (file != stdout && fclose(file) != 0 && !failed) {
        failed = true;
        cause = errno;
    }
    if (failed)
        errno = cause;
    return !failed;
}

/* How many bytes follow the first one, and the least character of so many; -1 where none begins with that byte. */
static int count_followers(unsigned char first, uint32_t *least)
{
    if (first < 0x80) {
        *least = 0;
        return 0;
    }
    if (first >= 0xC0 && first < 0xE0) {
        *least = 0x80;
        return 1;
    }
    if (first >= 0xE0 && first < 0xF0) {
        *least = 0x800;
        return 2;
    }
    *least = 0x10000;
    return first >= 0xF0 && first < 0xF8 ? 3 : -1;
}

/* How many bytes the character takes; 0 where it is not well-formed. */
static size_t decode_character(const char *bytes, size_t room, uint32_t *character)
{
    unsigned char first = (unsigned char)bytes[0];
    uint32_t least, value;
    int followers = count_followers(first, &least);

    if (followers < 0 || (size_t)followers >= room)
        return 0;
    value = followers == 0 ? first : first & (0x3FU >> followers);
    for (int i = 1; i <= followers; i++) {
        unsigned char byte = (unsigned char)bytes[i];

        if ((byte & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (byte & 0x3F);
    }
    if (value < least || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    *character = value;
    return (size_t)followers + 1;
}

bool stress_characters_next(struct stress_characters *text, uint32_t *character)
{
    size_t bytes;

    if (text->room == 0 || *text->next == '\0')
        return false;
    bytes = decode_character(text->next, text->room, character);
    if (bytes == 0) {
        *character = STRESS_REPLACEMENT;
        bytes = 1;
    }
    text->next += bytes;
    text->room -= bytes;
    return true;
}

void stress_output_character(FILE *file, uint32_t character)
{
    unsigned shift = character < 0x80 ? 0 : character < 0x800 ? 6 : character < 0x10000 ? 12 : 18;
    static const unsigned char marks[] = {[0] = 0, [6] = 0xC0, [12] = 0xE0, [18] = 0xF0};

    (void)fputc((int)(marks[shift] | character >> shift), file);
    while (shift != 0) {
        shift -= 6;
        (void)fputc((int)(0x80 | (character >> shift & 0x3F)), file);
    }
}

const char *stress_verdict_name(enum kit_verdict verdict)
{
    static const char *const names[] = {
        [KIT_NOT_RUN] = "not run", [KIT_PASSED] = "passed", [KIT_FAILED] = "failed", [KIT_SKIPPED] = "skipped"};

    return names[verdict];
}
