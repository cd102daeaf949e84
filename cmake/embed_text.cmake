# Gives `target` the function std::string_view NAME() of namespace lathe: the text of the files, one
# after the other. A file that changes is embedded anew by the next build.
function(lathe_embed_text target name)
  set(text "")
  foreach(file ${ARGN})
    file(READ ${file} part)
    string(APPEND text "R\"text(${part})text\"\n")
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ARGN})
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/embedded/${name}.cpp @ONLY CONTENT
"#include <string_view>

namespace lathe {

std::string_view @name@();
std::string_view @name@() {
  return @text@;
}

}  // namespace lathe
")
  target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/embedded/${name}.cpp)
endfunction()
