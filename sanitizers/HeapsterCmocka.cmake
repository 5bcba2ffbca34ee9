# What the tests' assertions come from, as PkgConfig::CMOCKA: the system's cmocka or, with HEAPSTER_CMOCKA=OFF, what
# tests/checks puts in its place, for builds for which the system has none that fits.

include_guard(GLOBAL)
option(HEAPSTER_CMOCKA "Test with the system's cmocka" ON)
if(HEAPSTER_CMOCKA)
    find_package(PkgConfig REQUIRED)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET GLOBAL cmocka)
else()
    add_subdirectory(${PROJECT_SOURCE_DIR}/tests/checks ${PROJECT_BINARY_DIR}/tests/checks)
endif()
