#include "flags/flags.h"
#include "report/export.h"

namespace lathe {

void add_html_flag(CLI::App& command, CommonOptions& common) {
  command.add_option("--html", common.html, "Write the report as one page for a browser there")
      ->type_name("FILE");
}

void add_export_flag(CLI::App& command, CommonOptions& common) {
  std::string kinds;
  for (const ExportKind& kind : export_kinds()) kinds += (kinds.empty() ? "" : ", ") + kind.name;
  command
      .add_option("--export", common.exports,
                  "Write the report in another format, '-' for standard output: " + kinds)
      ->type_name("KIND=FILE")
      ->expected(1)
      ->take_all();
}

}  // namespace lathe
