# Adds to `target` the header "<folder>/schema_generated.h" that FlatBuffers' compiler makes of a
# schema.
function(lathe_compile_schema target schema)
  get_filename_component(folder ${schema} DIRECTORY)
  get_filename_component(folder ${folder} NAME)
  set(generated ${CMAKE_BINARY_DIR}/generated)
  set(header ${generated}/${folder}/schema_generated.h)
  add_custom_command(OUTPUT ${header}
    COMMAND ${FLATC} --cpp --scoped-enums --gen-object-api -o ${generated}/${folder}
            ${CMAKE_SOURCE_DIR}/${schema}
    DEPENDS ${CMAKE_SOURCE_DIR}/${schema} VERBATIM)
  target_sources(${target} PRIVATE ${header})
  # Not ours to warn about.
  target_include_directories(${target} SYSTEM PUBLIC ${generated})
endfunction()
