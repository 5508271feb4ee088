# install(): the static library, its headers, the command, a CMake package and a pkg-config file.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/elbo)

install(TARGETS elbo EXPORT elboTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(ELBO_BUILD_CLI)
  install(TARGETS elbo_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/elbo DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY kernels host DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/elbo
  FILES_MATCHING PATTERN "*.hpp"
  PATTERN "cuda" EXCLUDE PATTERN "cpu" EXCLUDE PATTERN "cli" EXCLUDE
  PATTERN "formatted.hpp" EXCLUDE)
install(EXPORT elboTargets NAMESPACE elbo:: DESTINATION ${package_dir})

configure_package_config_file(cmake/elboConfig.cmake.in elboConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(elboConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/elboConfig.cmake ${PROJECT_BINARY_DIR}/elboConfigVersion.cmake
  cmake/FindTurboJPEG.cmake DESTINATION ${package_dir})

set(pc_cuda_libs "")
if(ELBO_HAS_CUDA)
  set(pc_cuda_libs "-L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -lrt")
endif()
# From the file's own place, so that `cmake --install --prefix` may choose another.
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
configure_file(cmake/elbo.pc.in elbo.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/elbo.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
