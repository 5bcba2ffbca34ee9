# The subcommands that compare: a launcher and scripts for python3, copied to where heapster-bench looks for them, and
# their tests.

target_sources(heapster-bench PRIVATE compare.c child.c)

set(scripts ${PROJECT_BINARY_DIR}/share/heapster/bench)
foreach(script
        child.py compare.py compare_allocators.py compare_counters.py compare_machine.py compare_plan.py compare_run.py
        compare_summary.py programs.py report.py report_plots.py statistics_of_runs.py strategies.py
        programs/clang.cpp programs/ghostscript.ps programs/lua.lua programs/perl.pl programs/python.py
        programs/redis.sh programs/sqlite.sql programs/z3.py)
    configure_file(${script} ${scripts}/${script} COPYONLY)
endforeach()

# A sanitizer build has no standard names to put under a program; what the tests preload is made of glibc's.
if(NOT HEAPSTER_TESTS OR NOT HEAPSTER_OVERRIDE OR HEAPSTER_SANITIZER OR NOT HEAPSTER_LIBC_IS_GLIBC)
    return()
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)

foreach(shim slow crash)
    add_library(compare_shim_${shim} MODULE compare_shim_${shim}.c)
    target_link_libraries(compare_shim_${shim} PRIVATE heapster_options)
endforeach()

set(environment
    BENCH=$<TARGET_FILE:heapster-bench> SLOW=$<TARGET_FILE:compare_shim_slow> CRASH=$<TARGET_FILE:compare_shim_crash>
    SCRIPTS=${scripts})
foreach(test Statistics Order Child Allocators Summary Slow Crash Report Programs Strategies)
    string(TOLOWER ${test} name)
    add_test(NAME bench.compare.${name}
        COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/compare_tests.py ${test})
    set_tests_properties(bench.compare.${name} PROPERTIES LABELS quick TIMEOUT 300 ENVIRONMENT "${environment}")
endforeach()
