# Turns profiles/*.json into a source file of the target `profiles`, so that a shipped profile is
# found in the build tree and after installation alike.
file(GLOB profile_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/profiles/*.json)
list(SORT profile_files)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${profile_files})

set(profile_rows "")
foreach(profile_file ${profile_files})
  get_filename_component(profile_name ${profile_file} NAME_WLE)
  file(READ ${profile_file} profile_text)
  string(APPEND profile_rows "      {\"${profile_name}\", R\"profile(${profile_text})profile\"},\n")
endforeach()

set(profile_source ${CMAKE_BINARY_DIR}/embedded_profiles.cpp)
file(CONFIGURE OUTPUT ${profile_source} @ONLY CONTENT
"#include \"profiles/embedded_profiles.h\"

namespace lathe {

const std::vector<EmbeddedProfile>& embedded_profiles() {
  static const std::vector<EmbeddedProfile> profiles{
@profile_rows@  };
  return profiles;
}

}  // namespace lathe
")
target_sources(profiles PRIVATE ${profile_source})
