#include "symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file, as it is mapped; bytes is 0 where there is none. */
static struct {
    bool was_opened;
    const char *file;
    size_t bytes;
    uintptr_t bias;
    const ElfW(Sym) * symbols;
    size_t count;
    const char *names;
    size_t names_bytes;
} table;

static void map_file(const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    void *base = MAP_FAILED;

    if (file < 0)
        return;
    if (fstat(file, &status) == 0 && status.st_size > (off_t)sizeof(ElfW(Ehdr)))
        base = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    (void)close(file);
    if (base == MAP_FAILED)
        return;
    table.file = base;
    table.bytes = (size_t)status.st_size;
}

static bool is_inside(uint64_t offset, uint64_t bytes)
{
    return offset <= table.bytes && bytes <= table.bytes - offset;
}

static void find_table(void)
{
    const ElfW(Ehdr) *header = (const void *)table.file;
    const ElfW(Shdr) *sections = (const void *)(table.file + header->e_shoff);

    if (!is_inside(header->e_shoff, (uint64_t)header->e_shnum * sizeof *sections))
        return;
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const ElfW(Shdr) *section = &sections[i];

        if (section->sh_type != SHT_SYMTAB || section->sh_link >= header->e_shnum ||
            !is_inside(section->sh_offset, section->sh_size) ||
            !is_inside(sections[section->sh_link].sh_offset, sections[section->sh_link].sh_size))
            continue;
        table.symbols = (const void *)(table.file + section->sh_offset);
        table.count = section->sh_size / sizeof *table.symbols;
        table.names = table.file + sections[section->sh_link].sh_offset;
        table.names_bytes = sections[section->sh_link].sh_size;
    }
}

static void open_table(const void *address)
{
    Dl_info info;

    if (dladdr(address, &info) == 0)
        return;
    table.was_opened = true;
    table.bias = (uintptr_t)info.dli_fbase;
    map_file(info.dli_fname);
    if (table.file != NULL)
        find_table();
}

bool symbols_find(const void *address, struct symbol *symbol)
{
    if (!table.was_opened)
        open_table(address);
    for (size_t i = 0; i < table.count; i++) {
        const ElfW(Sym) *entry = &table.symbols[i];
        size_t offset = (uintptr_t)address - table.bias - entry->st_value;

        if (ELF64_ST_TYPE(entry->st_info) != STT_OBJECT || offset >= entry->st_size ||
            entry->st_name >= table.names_bytes)
            continue;
        *symbol = (struct symbol){table.names + entry->st_name, offset};
        return true;
    }
    return false;
}
