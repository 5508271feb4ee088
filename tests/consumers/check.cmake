# Runs the consumer and checks the numbers that it prints.
#   cmake -DPROGRAM=PATH -P check.cmake
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
message("${printed}")
set(number "(-?[0-9]+\\.[0-9][0-9])")
if(NOT printed MATCHES "^elbo on held-out rows: ${number} before, ${number} after training \\(nats per sample\\)\nstandard error: ${number}, bits per dimension: ${number}\n$")
  message(FATAL_ERROR "this is not what the consumer should print")
endif()
if(NOT CMAKE_MATCH_2 GREATER CMAKE_MATCH_1)
  message(FATAL_ERROR "the elbo after training, ${CMAKE_MATCH_2}, should be above ${CMAKE_MATCH_1}")
endif()
if(CMAKE_MATCH_1 EQUAL 0 OR CMAKE_MATCH_3 LESS_EQUAL 0 OR CMAKE_MATCH_4 EQUAL 0)
  message(FATAL_ERROR "numbers that are zero")
endif()
