# What a sanitizer build is made of, in one place. By HEAPSTER_SANITIZER: the flags for compiling and linking. The
# run-time's options stand in options/<tool>.options, one a line; every program of the build has them built in, so that
# they hold for whoever starts it, with whatever environment. Suppressions (none) are the empty files beside them.

set(heapster_sanitizers_folder ${CMAKE_CURRENT_LIST_DIR})
add_library(heapster_sanitizers INTERFACE)

set(heapster_sanitizer_flags "")
set(heapster_sanitizer_tools "")
if(HEAPSTER_SANITIZER STREQUAL "address")
    set(heapster_sanitizer_flags -fsanitize=address -fsanitize-address-use-after-scope)
    set(heapster_sanitizer_tools asan lsan)
elseif(HEAPSTER_SANITIZER STREQUAL "undefined")
    set(heapster_sanitizer_flags -fsanitize=undefined -fsanitize=float-divide-by-zero)
    set(heapster_sanitizer_tools ubsan)
    if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
        # What gcc does not have: unsigned arithmetic that wraps, values that change where they are converted, null against its attributes, local bounds.
        list(APPEND heapster_sanitizer_flags -fsanitize=integer -fsanitize=implicit-conversion -fsanitize=nullability
            -fsanitize=local-bounds)
    else()
        list(APPEND heapster_sanitizer_flags -fsanitize=float-cast-overflow)
        target_compile_definitions(heapster_sanitizers INTERFACE HS_GCC_NULL_CHECKS)
    endif()
    list(APPEND heapster_sanitizer_flags -fno-sanitize-recover=all)
elseif(HEAPSTER_SANITIZER STREQUAL "thread")
    set(heapster_sanitizer_flags -fsanitize=thread)
    set(heapster_sanitizer_tools tsan)
elseif(HEAPSTER_SANITIZER STREQUAL "memory")
    # Origins are not tracked: the run-time locks its record of them around a fork, and the allocator's own handlers of
    # fork, and threads that hold its locks meanwhile, would wait for that.
    set(heapster_sanitizer_flags -fsanitize=memory -fsanitize-memory-use-after-dtor)
    set(heapster_sanitizer_tools msan)
elseif(NOT HEAPSTER_SANITIZER STREQUAL "")
    message(FATAL_ERROR "HEAPSTER_SANITIZER=${HEAPSTER_SANITIZER}: expected address, undefined, thread or memory")
endif()

# heapster_read_options(<variable> <tool>): the lines of its file that are no comments, separated by spaces, and the
# suppression file, where the tool knows of such.
function(heapster_read_options variable tool)
    set(file ${heapster_sanitizers_folder}/options/${tool}.options)
    set(options "")
    if(EXISTS ${file})
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
        file(STRINGS ${file} options REGEX "^[^#]")
    endif()
    if(EXISTS ${heapster_sanitizers_folder}/suppressions/${tool}.supp)
        list(APPEND options "suppressions='${heapster_sanitizers_folder}/suppressions/${tool}.supp'")
    endif()
    list(JOIN options " " options)
    set(${variable} "${options}" PARENT_SCOPE)
endfunction()

if(heapster_sanitizer_tools)
    set(sources "")
    foreach(tool IN LISTS heapster_sanitizer_tools)
        heapster_read_options(options ${tool})
        configure_file(${heapster_sanitizers_folder}/default_options.c.in
            ${PROJECT_BINARY_DIR}/sanitizers/${tool}_default_options.c @ONLY)
        list(APPEND sources ${PROJECT_BINARY_DIR}/sanitizers/${tool}_default_options.c)
    endforeach()
    add_library(heapster_sanitizer_options OBJECT ${sources})
    # Asked before the run-time is ready: not even by flags of the environment's may they be instrumented.
    target_compile_options(heapster_sanitizer_options PRIVATE -fno-sanitize=all)
    target_sources(heapster_sanitizers INTERFACE
        $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:$<TARGET_OBJECTS:heapster_sanitizer_options>>)
endif()

if(HEAPSTER_FUZZ)
    # Coverage of every object for libFuzzer; fuzzers add the engine itself.
    list(APPEND heapster_sanitizer_flags -fsanitize=fuzzer-no-link)
endif()

if(HEAPSTER_FUZZ_ENGINE)
    # Who brings an engine brings the flags of its sanitizer in CMAKE_C_FLAGS; what else depends on it is as ever.
    set(heapster_sanitizer_flags "")
endif()

if(heapster_sanitizer_flags)
    target_compile_options(heapster_sanitizers INTERFACE ${heapster_sanitizer_flags} -fno-omit-frame-pointer)
    target_link_options(heapster_sanitizers INTERFACE ${heapster_sanitizer_flags})
    if(HEAPSTER_OVERRIDE)
        message(FATAL_ERROR "a sanitizer brings its own malloc: configure with HEAPSTER_OVERRIDE=OFF")
    endif()
endif()

# Programs of such a build run under Valgrind; which of its tools is said by the environment (the file valgrind here).
if(HEAPSTER_VALGRIND)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${heapster_sanitizers_folder}/valgrind)
endif()

if(HEAPSTER_COVERAGE)
    target_compile_options(heapster_sanitizers INTERFACE --coverage)
    target_link_options(heapster_sanitizers INTERFACE --coverage)
endif()
