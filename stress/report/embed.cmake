# Writes the C file OUTPUT with the text of PAGE, cut in two where the line of the report's data stands (page.h).
#
#     cmake -DPAGE=page.html -DOUTPUT=page.c -P embed.cmake
set(mark "@REPORT@\n")

file(READ "${PAGE}" text HEX)
string(HEX "${mark}" mark_hex)
string(LENGTH "${mark_hex}" mark_length)
string(FIND "${text}" "${mark_hex}" place)
string(FIND "${text}" "${mark_hex}" last_place REVERSE)
math(EXPR oddness "${place} % 2")
if(place LESS 0 OR NOT place EQUAL last_place OR oddness)
    message(FATAL_ERROR "${PAGE}: one line must be @REPORT@")
endif()
math(EXPR rest "${place} + ${mark_length}")
string(SUBSTRING "${text}" 0 ${place} head)
string(SUBSTRING "${text}" ${rest} -1 tail)

set(source "/* Made from page.html by embed.cmake. */\n#include \"page.h\"\n")
foreach(part head tail)
    string(REGEX REPLACE "(................................)" "\\1\n" bytes "${${part}}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND source "\nconst unsigned char stress_page_${part}[] = {\n${bytes}\n};\n")
    string(APPEND source "const size_t stress_page_${part}_bytes = sizeof stress_page_${part};\n")
endforeach()
file(WRITE "${OUTPUT}" "${source}")
