# Finds out whether the CUDA side is built (ELBO_HAS_CUDA), and enables the language if so.
# Neither configuring nor compiling asks for a GPU.

set(ELBO_HAS_CUDA OFF)
if(NOT ELBO_CUDA STREQUAL "OFF")
  set(CMAKE_CUDA_ARCHITECTURES ${ELBO_CUDA_ARCHITECTURES})  # before the language, or it probes
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(ELBO_NVCC nvcc PATHS /usr/local/cuda/bin)
    if(ELBO_NVCC)
      set(CMAKE_CUDA_COMPILER ${ELBO_NVCC})
    endif()
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(ELBO_HAS_CUDA ON)
  elseif(ELBO_CUDA STREQUAL "ON")
    message(FATAL_ERROR "ELBO_CUDA=ON, but no CUDA compiler was found; install the CUDA toolkit, "
      "set CUDACXX, or use ELBO_CUDA=OFF")
  else()
    message(STATUS "No CUDA toolkit found: building for the CPU alone")
  endif()
endif()

# CUDA's runtime; for programs with the property ELBO_SIMULATED_GPU its stand-in, which the tests
# build (cuda_emulation/simulated_gpu).
set(ELBO_CUDART
  $<IF:$<BOOL:$<TARGET_PROPERTY:ELBO_SIMULATED_GPU>>,simulated_cudart,CUDA::cudart_static>)

# nvcc's counterparts of the host's flags: no contraction, IEEE division and square root,
# subnormals flushed as on the CPU. CMake 3.25 does not know CUDA_STANDARD 20 for every nvcc.
set(ELBO_CUDA_FLAGS -std=c++20 -fmad=false -ftz=true -prec-div=true -prec-sqrt=true
  --expt-relaxed-constexpr)
