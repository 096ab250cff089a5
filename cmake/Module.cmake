# verillm_module(NAME [DEPENDS MODULE...] [LIBRARIES TARGET...]): the library of src/NAME, made of every .cc in it; its *_test.cc
# become one test program. A module sees the headers of the modules it depends on and of no other, because each module's headers
# are reached through a private folder that links to it alone: an include against the direction of design fails to build.

add_library(verillm_warnings INTERFACE)
target_compile_options(verillm_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)

function(verillm_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPENDS;LIBRARIES")
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc")
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")

  set(include_dir "${PROJECT_BINARY_DIR}/include/${name}")
  file(MAKE_DIRECTORY "${include_dir}")
  file(CREATE_LINK "${CMAKE_CURRENT_SOURCE_DIR}/${name}" "${include_dir}/${name}" SYMBOLIC)

  add_library(verillm_${name} STATIC ${sources})
  target_include_directories(verillm_${name} PUBLIC "${include_dir}")
  list(TRANSFORM arg_DEPENDS PREPEND verillm_)
  target_link_libraries(verillm_${name} PUBLIC ${arg_DEPENDS} ${arg_LIBRARIES} PRIVATE verillm_warnings)

  if(VERILLM_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE verillm_${name} verillm_warnings GTest::gmock GTest::gtest_main)
    # Tests are built more often than their own code has anything to compute.
    target_compile_options(${name}_test PRIVATE $<$<CONFIG:Release>:-O1>)
    target_compile_definitions(${name}_test PRIVATE VERILLM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    gtest_discover_tests(${name}_test PROPERTIES LABELS unit)
  endif()
endfunction()
