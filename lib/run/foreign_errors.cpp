#include "run/foreign_errors.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <new>

#include "ir/error.h"
#include "ir/graph.h"

namespace lathe {
namespace {

std::string first_line(std::string text) {
  text = text.substr(0, text.find('\n'));
  return escape_untrusted(text, 300);
}

Error out_of_memory(const std::string& detail, const std::string& place) {
  return over_limit("limit.memory", "out of memory" + detail, place,
                    "give it more memory (--max-memory) or fewer samples at once (--threads)");
}

}  // namespace

std::string place_of(const Node& node) {
  return fmt::format("node {} ({})", escape_untrusted(node.name),
                     escape_untrusted(node.type_name()));
}

void rethrow_foreign(const std::string& place) {
  try {
    throw;
  } catch (const Error& error) {
    if (place.empty()) throw;
    throw error.within(place);
  } catch (const InternalError&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw out_of_memory("", place);
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    if (text.find("allocate") != std::string::npos)
      throw out_of_memory(": " + first_line(text), place);
    throw bad_input("run.failed", first_line(text), place);
  } catch (const std::exception& error) {
    throw bad_input("run.failed", first_line(error.what()), place);
  }
}

}  // namespace lathe
