# The dependencies and the few functions that every folder's CMakeLists.txt uses.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_compile_options(-Wall -Wextra -Wno-invalid-offsetof -Wno-missing-field-initializers
                    -ffunction-sections -fdata-sections)
add_compile_definitions(FMT_HEADER_ONLY)
if(ORCH_SANITIZE)
  add_compile_options(-fsanitize=${ORCH_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ORCH_SANITIZE})
endif()

# orch_dependency(name pkg-config-modules...): target dep_<name>, with everything a static link needs. The
# executable links statically (-static-pie), tests against the shared libraries.
function(orch_dependency name)
  pkg_check_modules(DEP_${name} REQUIRED QUIET ${ARGN})
  add_library(dep_${name} INTERFACE)
  target_include_directories(dep_${name} SYSTEM INTERFACE ${DEP_${name}_INCLUDE_DIRS})
  if(ORCH_SANITIZE)
    target_link_libraries(dep_${name} INTERFACE ${DEP_${name}_LIBRARIES})
  else()
    set(libs ${DEP_${name}_STATIC_LIBRARIES})
    list(REMOVE_DUPLICATES libs)
    list(REMOVE_ITEM libs pthread dl rt m c)
    target_link_libraries(dep_${name} INTERFACE -Wl,--start-group ${libs} -Wl,--end-group
                          Threads::Threads ${CMAKE_DL_LIBS})
  endif()
endfunction()

orch_dependency(sqlite sqlite3)
orch_dependency(yaml yaml-cpp)
orch_dependency(openssl openssl)
orch_dependency(zstd libzstd)
orch_dependency(netlink libnl-nf-3.0 libnl-route-3.0 libnl-genl-3.0 libnl-3.0)
# Without gRPC's own TLS and xDS, which would be 2.5 MB: TLS is src/net/http's, CRI is spoken over a Unix socket.
# Debian's grpc++_unsecure.pc does not name what a static link needs beside it.
orch_dependency(grpc grpc++_unsecure protobuf)
if(NOT ORCH_SANITIZE)
  target_link_libraries(dep_grpc INTERFACE -Wl,--start-group grpc_unsecure upb address_sorting cares z
                        -Wl,--end-group)
endif()

# orch_library(name [DEPENDS targets...]): static library orch_<name> of all .cpp below the calling folder
# that no deeper CMakeLists.txt claims (SOURCES overrides the glob).
function(orch_library name)
  cmake_parse_arguments(A "" "" "DEPENDS;SOURCES" ${ARGN})
  if(NOT A_SOURCES)
    file(GLOB_RECURSE A_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
    file(GLOB_RECURSE nested CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*/CMakeLists.txt)
    foreach(list_file ${nested})
      get_filename_component(folder ${list_file} DIRECTORY)
      list(FILTER A_SOURCES EXCLUDE REGEX "^${folder}/")
    endforeach()
  endif()
  if(A_SOURCES)
    add_library(orch_${name} STATIC ${A_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(orch_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(orch_${name} ${scope} ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(orch_${name} ${scope} ${A_DEPENDS} Threads::Threads)
endfunction()

# orch_small(target): what runs seldom is compiled for size in a release; the executable has a limit of 25 MB.
function(orch_small target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-Os>)
endfunction()

# orch_unit_test(name DEPENDS targets...): Catch2 program unit_<name> of tests/unit/<name>/**.cpp.
function(orch_unit_test name)
  cmake_parse_arguments(A "" "" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(unit_${name} ${sources})
  target_include_directories(unit_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(unit_${name} PRIVATE orch_test_main ${A_DEPENDS})
  add_test(NAME unit_${name} COMMAND unit_${name})
  set_tests_properties(unit_${name} PROPERTIES TIMEOUT 300 LABELS unit)
endfunction()
