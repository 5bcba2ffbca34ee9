# What a sanitizer build is made of, in one place: flags for compiling and linking, by HEAPSTER_SANITIZER. Run-time
# options stand in the test presets, suppressions (none) beside this file.

add_library(heapster_sanitizers INTERFACE)

set(heapster_sanitizer_flags "")
if(HEAPSTER_SANITIZER STREQUAL "address")
    set(heapster_sanitizer_flags -fsanitize=address -fsanitize-address-use-after-scope)
elseif(HEAPSTER_SANITIZER STREQUAL "undefined")
    set(heapster_sanitizer_flags -fsanitize=undefined -fno-sanitize-recover=all)
elseif(HEAPSTER_SANITIZER STREQUAL "thread")
    set(heapster_sanitizer_flags -fsanitize=thread)
elseif(HEAPSTER_SANITIZER STREQUAL "memory")
    set(heapster_sanitizer_flags -fsanitize=memory -fsanitize-memory-track-origins)
elseif(NOT HEAPSTER_SANITIZER STREQUAL "")
    message(FATAL_ERROR "HEAPSTER_SANITIZER=${HEAPSTER_SANITIZER}: expected address, undefined, thread or memory")
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

if(HEAPSTER_COVERAGE)
    target_compile_options(heapster_sanitizers INTERFACE --coverage)
    target_link_options(heapster_sanitizers INTERFACE --coverage)
endif()
