# Programs linked a second time, on a simulated GPU (cuda_emulation/simulated_gpu), for the tests.
#
#   elbo_link_simulated(TARGET)   the objects and libraries of TARGET as simulated/TARGET, with the
#                                 simulated runtime instead of CUDA's; call it where TARGET is made
#
# ELBO_NO_SIMULATED_GPU is the reason why there is none in this build; then nothing is linked.

set(ELBO_NO_SIMULATED_GPU "")
if(NOT ELBO_BUILD_TESTS OR NOT ELBO_EMULATED_TESTS)
  set(ELBO_NO_SIMULATED_GPU "ELBO_EMULATED_TESTS is off")
elseif(NOT ELBO_HAS_CUDA)
  set(ELBO_NO_SIMULATED_GPU "this build has no CUDA compiler")
elseif(CUDAToolkit_VERSION VERSION_LESS 13)
  set(ELBO_NO_SIMULATED_GPU "it is made for CUDA 13, this toolkit is ${CUDAToolkit_VERSION}")
elseif(ELBO_SANITIZE)
  set(ELBO_NO_SIMULATED_GPU "sanitizers do not know its memory")
endif()

function(elbo_link_simulated target)
  if(ELBO_NO_SIMULATED_GPU)
    return()
  endif()
  get_target_property(libraries ${target} LINK_LIBRARIES)
  get_target_property(name ${target} OUTPUT_NAME)
  if(NOT name)
    set(name ${target})
  endif()
  add_executable(simulated_${target} $<TARGET_OBJECTS:${target}>)
  target_link_libraries(simulated_${target} PRIVATE ${libraries})
  set_target_properties(simulated_${target} PROPERTIES ELBO_SIMULATED_GPU ON OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/simulated LINKER_LANGUAGE CXX)
  add_dependencies(simulated_${target} simulated_libraries)
endfunction()
