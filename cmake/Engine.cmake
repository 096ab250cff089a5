# Finds llama.cpp: an installed one that has what verillm needs, else the pinned source, built once into the per-user cache by
# scripts/build-engine. VERILLM_ENGINE_OPTIONS is passed to that build, e.g. "-DGGML_CUDA=ON".
set(VERILLM_ENGINE_OPTIONS "" CACHE STRING "Options for the build of llama.cpp")
option(VERILLM_SYSTEM_ENGINE "Use an installed llama.cpp where it is new enough" ON)
foreach(backend CUDA METAL)
  option(VERILLM_${backend} "Build llama.cpp with its ${backend} backend" OFF)
  if(VERILLM_${backend})
    list(APPEND VERILLM_ENGINE_OPTIONS "-DGGML_${backend}=ON")
  endif()
endforeach()
option(VERILLM_VULKAN "Build llama.cpp with its Vulkan backend where glslc is installed" ON)
if(NOT VERILLM_VULKAN)
  list(APPEND VERILLM_ENGINE_OPTIONS "-DGGML_VULKAN=OFF")
endif()

# The engine for another kind of machine is built with the compilers that verillm is built with; it needs no library of that machine.
if(CMAKE_CROSSCOMPILING)
  list(APPEND VERILLM_ENGINE_OPTIONS "-DCMAKE_SYSTEM_NAME=${CMAKE_SYSTEM_NAME}" "-DCMAKE_SYSTEM_PROCESSOR=${CMAKE_SYSTEM_PROCESSOR}"
    "-DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}" "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}" -DGGML_BLAS=OFF -DGGML_VULKAN=OFF)
endif()

# What verillm needs of an installed llama.cpp: shared libraries with loadable backends, and the calls of src/engine.
function(verillm_engine_has_what_we_need result)
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_LIBRARIES llama)
  set(CMAKE_REQUIRED_QUIET ON)
  check_cxx_source_compiles("
    #include <llama.h>
    #include <ggml-backend.h>
    int main() {
      llama_context_params context = llama_context_default_params();
      context.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_AUTO;
      context.cb_eval = nullptr;
      llama_model_params model = llama_model_default_params();
      model.load_mode = LLAMA_LOAD_MODE_MMAP;
      return ggml_backend_load(\"\") != nullptr && llama_version() != nullptr;
    }" VERILLM_INSTALLED_ENGINE_SERVES)
  set(${result} "${VERILLM_INSTALLED_ENGINE_SERVES}" PARENT_SCOPE)
endfunction()

# What an earlier configuration found in the cache must not pass for an installed llama.cpp, nor outlive its engine.
if(VERILLM_ENGINE_PREFIX)
  get_cmake_property(variables CACHE_VARIABLES)
  foreach(variable IN LISTS variables)
    string(FIND "${${variable}}" "${VERILLM_ENGINE_PREFIX}/" position)
    if(position EQUAL 0)
      unset(${variable} CACHE)
    endif()
  endforeach()
endif()

if(VERILLM_SYSTEM_ENGINE AND NOT VERILLM_ENGINE_OPTIONS)
  find_package(llama QUIET)
  if(llama_FOUND AND GGML_BACKEND_DL)
    verillm_engine_has_what_we_need(serves)
  endif()
  if(serves)
    message(STATUS "Engine: installed llama.cpp in ${llama_DIR}")
  elseif(llama_FOUND)
    message(STATUS "Engine: the llama.cpp in ${llama_DIR} is too old or has no loadable backends")
  endif()
endif()

if(NOT serves)
  message(STATUS "Engine: pinned llama.cpp from the cache (built on first use)")
  execute_process(
    COMMAND "${PROJECT_SOURCE_DIR}/scripts/build-engine" ${VERILLM_ENGINE_OPTIONS}
    OUTPUT_VARIABLE engine_prefix OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(llama_DIR "${engine_prefix}/lib/cmake/llama" CACHE PATH "" FORCE)
  set(ggml_DIR "${engine_prefix}/lib/cmake/ggml" CACHE PATH "" FORCE)
  set(VERILLM_ENGINE_PREFIX "${engine_prefix}" CACHE INTERNAL "Folder of the engine from the cache")
  find_package(llama REQUIRED)
  message(STATUS "Engine: ${engine_prefix}")
endif()
