# verillm_fuzzer(NAME LIBRARIES TARGET...): the fuzzer in fuzz/NAME_fuzzer.cc, which defines LLVMFuzzerTestOneInput. With VERILLM_FUZZ
# it becomes NAME_fuzzer, which searches for inputs (libFuzzer); with VERILLM_TESTS alone it becomes replay_NAME and a test that runs
# it over the files of fuzz/corpus/NAME.
option(VERILLM_FUZZ "Build the fuzzers, and everything instrumented for them (needs clang)" OFF)

if(VERILLM_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "VERILLM_FUZZ needs clang's libFuzzer: configure with -DCMAKE_CXX_COMPILER=clang++")
  endif()
  # The assertions of the libraries stay in: one that fails is a finding.
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -UNDEBUG)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  add_link_options(-fsanitize=address,undefined)
endif()

function(verillm_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBRARIES")
  if(VERILLM_FUZZ)
    set(program ${name}_fuzzer)
    add_executable(${program} ${name}_fuzzer.cc)
    target_link_options(${program} PRIVATE -fsanitize=fuzzer)
  else()
    set(program replay_${name})
    add_executable(${program} ${name}_fuzzer.cc replay.cc)
    add_test(NAME fuzz.${name} COMMAND ${program} "${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name}")
    set_tests_properties(fuzz.${name} PROPERTIES LABELS unit)
  endif()
  target_include_directories(${program} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${program} PRIVATE ${arg_LIBRARIES} verillm_warnings)
endfunction()
