# Checks the output and the exit code of elbo_calibrate without a visible GPU:
# cmake -DPROGRAM=… -P this.

# expect(code stdout stderr [argument...]): each output must match its regular expression entirely.
function(expect code out error)
  execute_process(COMMAND ${PROGRAM} ${ARGN}
    RESULT_VARIABLE got_code OUTPUT_VARIABLE got_out ERROR_VARIABLE got_error)
  foreach(what code out error)
    if(NOT "${got_${what}}" MATCHES "^${${what}}$")
      message(SEND_ERROR "elbo_calibrate ${ARGN}: ${what}: got '${got_${what}}', expected '${${what}}'")
    endif()
  endforeach()
endfunction()

set(no_gpu "elbo_calibrate: no GPU can be used: [^\n]+\n")
expect(4 "" "${no_gpu}")
expect(4 "" "${no_gpu}" --parts graph,gemm --seconds 1 --commit 0123456)
expect(0 "graph [^\n]+\nlaunch [^\n]+\nbarrier [^\n]+\nnoise [^\n]+\nmemory [^\n]+\ngemm [^\n]+\n" ""
  --list)
expect(2 "" "elbo_calibrate: --parts: got 'gem', expected some of graph, [^\n]+\n" --parts gem)
expect(2 "" "elbo_calibrate: --seconds: got -1.0, expected more than 0\n" --seconds -1)
