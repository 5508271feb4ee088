# cmake -D SCRIPT=cmake/KernelRevision.cmake -D KERNELS=kernels/cuda -D WORK=... -P ...: a change of any
# source changes the revision, and nothing else does.
function(revise out)
  execute_process(COMMAND ${CMAKE_COMMAND} -D FOLDER=${WORK}/cuda -D HEADER=${WORK}/revision.hpp
    -P ${SCRIPT} COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${WORK}/revision.hpp text)
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(COPY ${KERNELS} DESTINATION ${WORK})
revise(first)
revise(again)
if(NOT first MATCHES "kKernelRevision = \"[0-9a-f]+\"" OR NOT first STREQUAL again)
  message(FATAL_ERROR "no revision that repeats:\n${first}\n${again}")
endif()
foreach(name dense.cu product.cuh cublaslt.cpp tuning.hpp)
  file(APPEND ${WORK}/cuda/${name} "\n")
  revise(changed)
  if(changed STREQUAL first)
    message(FATAL_ERROR "${name} changed, the revision did not:\n${changed}")
  endif()
  set(first "${changed}")
endforeach()
