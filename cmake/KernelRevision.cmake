# cmake -D FOLDER=... -D HEADER=... -P KernelRevision.cmake: writes a header with the hash of all
# sources in the folder. Measurements of one revision decide nothing for another.
file(GLOB sources ${FOLDER}/*.cpp ${FOLDER}/*.cu ${FOLDER}/*.cuh ${FOLDER}/*.hpp)
list(SORT sources)
set(hashes "")
foreach(source IN LISTS sources)
  file(SHA256 ${source} hash)
  cmake_path(GET source FILENAME name)
  string(APPEND hashes "${name} ${hash}\n")
endforeach()
string(SHA256 revision "${hashes}")
string(SUBSTRING ${revision} 0 12 revision)
file(CONFIGURE OUTPUT ${HEADER} CONTENT "// Written by cmake/KernelRevision.cmake.
#pragma once

inline constexpr const char* kKernelRevision = \"${revision}\";
")
