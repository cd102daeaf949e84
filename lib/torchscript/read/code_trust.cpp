#include "torchscript/read/code_trust.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "ir/error.h"

namespace lathe {
namespace {

struct Token {
  enum class Kind : uint8_t { kName, kOther, kText, kOdd };
  Kind kind = Kind::kOther;
  std::string_view text;
  int line = 1;
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Ends at the first thing whose meaning this reader and TorchScript's could see differently.
std::vector<Token> tokens_of(std::string_view code) {
  std::vector<Token> out;
  int line = 1;
  for (size_t at = 0; at < code.size();) {
    const char c = code[at];
    const size_t begin = at;
    const auto add = [&](Token::Kind kind) {
      out.push_back({kind, code.substr(begin, at - begin), line});
    };
    if (c == '\n') {
      ++line;
      ++at;
    } else if (c == ' ') {
      ++at;
    } else if (c == '#') {
      while (at < code.size() && code[at] != '\n') ++at;
    } else if (c == '"' || c == '\'') {
      ++at;
      const bool tripled = code.substr(begin, 3) == std::string(3, c);
      while (at < code.size() && code[at] != c && code[at] != '\n') at += code[at] == '\\' ? 2 : 1;
      if (tripled || at >= code.size() || code[at] == '\n') {
        at = std::min(at, code.size());
        add(Token::Kind::kOdd);
        return out;
      }
      ++at;
      add(Token::Kind::kText);
    } else if (is_letter(c)) {
      while (at < code.size() && (is_letter(code[at]) || is_digit(code[at]))) ++at;
      add(Token::Kind::kName);
    } else if (is_digit(c)) {
      while (at < code.size() && (is_letter(code[at]) || is_digit(code[at]) || code[at] == '.'))
        ++at;
      add(Token::Kind::kOther);
    } else {
      ++at;
      const bool plain =
          std::string_view("()[]{},.:=+-*/%<>!|&^~").find(c) != std::string_view::npos;
      add(plain ? Token::Kind::kOther : Token::Kind::kOdd);
      if (!plain) return out;
    }
  }
  return out;
}

struct Function {
  std::string file;
  std::string name;
  std::vector<Token> body;  // from the name to the next definition
};

constexpr std::string_view kOpenParenthesis = "(";

template <size_t kCount>
bool is_in(const std::string_view (&list)[kCount], std::string_view text) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

// Words before a parenthesis that call nothing.
constexpr std::string_view kKeywords[]{"if", "elif", "else",  "return", "not", "and", "or",
                                       "in", "is",   "raise", "assert", "def", "del"};
constexpr std::string_view kForbiddenWords[]{"for",    "while", "with",  "lambda", "yield",
                                             "import", "try",   "class", "async",  "await"};
constexpr std::string_view kPlainCalls[]{
    "annotate", "unchecked_cast", "uninitialized", "int", "float", "bool",
    "str",      "isinstance",     "getattr",       "len"};
// They look at values, or make at most as much as they are given.
constexpr std::string_view kTorchCalls[]{"eq",
                                         "ne",
                                         "lt",
                                         "le",
                                         "gt",
                                         "ge",
                                         "len",
                                         "size",
                                         "dim",
                                         "numel",
                                         "__is__",
                                         "__isnot__",
                                         "__not__",
                                         "__and__",
                                         "__or__",
                                         "__contains__",
                                         "__getitem__",
                                         "unwrap_optional",
                                         "_unwrap_optional",
                                         "format",
                                         "tensor",
                                         "detach",
                                         "clone",
                                         "dequantize",
                                         "is_floating_point",
                                         "append",
                                         "list",
                                         "to",
                                         "contiguous",
                                         "jit",
                                         "neg",
                                         "Int",
                                         "Bool",
                                         "Float"};
constexpr std::string_view kOpsCalls[]{"quantized.linear_prepack",
                                       "quantized.linear_prepack_fp16",
                                       "quantized.conv1d_prepack",
                                       "quantized.conv2d_prepack",
                                       "quantized.conv3d_prepack",
                                       "quantized.conv_prepack",
                                       "quantized.conv_transpose1d_prepack",
                                       "quantized.conv_transpose2d_prepack",
                                       "quantized.conv_transpose3d_prepack",
                                       "prim.RaiseException",
                                       "prim.NumToTensor",
                                       "prim.unchecked_cast"};

class Search {
 public:
  explicit Search(const std::map<std::string, std::string>& files) {
    for (const auto& [file, code] : files) split(file, tokens_of(code));
  }

  std::optional<LoadTimeCode> run() {
    // Text that is not understood may define it, or what it calls.
    if (odd_) return odd_;
    want("__setstate__");
    // Operators and subscripts of the archive's classes call these without naming them.
    for (const Function& function : functions_)
      if (function.name.starts_with("__") && function.name != "__init__" &&
          function.name != "__getstate__")
        want(function.name);
    while (!wanted_.empty()) {
      const std::string name = *wanted_.begin();
      wanted_.erase(wanted_.begin());
      for (const Function& function : functions_)
        if (function.name == name)
          if (auto found = check(function)) return found;
    }
    return std::nullopt;
  }

 private:
  void split(const std::string& file, const std::vector<Token>& tokens) {
    Function* open = nullptr;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const Token& token = tokens[i];
      if (token.kind == Token::Kind::kOdd && !odd_) {
        odd_ = LoadTimeCode{place(file, token), "holds text that is not plain TorchScript"};
      }
      const bool named = i + 1 < tokens.size() && tokens[i + 1].kind == Token::Kind::kName;
      if (token.kind == Token::Kind::kName && token.text == "def" && named) {
        functions_.push_back({file, std::string(tokens[i + 1].text), {}});
        open = &functions_.back();
        continue;
      }
      if (token.kind == Token::Kind::kName && token.text == "class" && named) {
        classes_.insert(std::string(tokens[i + 1].text));
        open = nullptr;
        continue;
      }
      if (open != nullptr) open->body.push_back(token);
    }
  }

  static std::string place(const std::string& file, const Token& token) {
    return file + ":" + std::to_string(token.line);
  }

  void want(const std::string& name) {
    if (seen_.insert(name).second) wanted_.insert(name);
  }

  bool is_defined(std::string_view name) const {
    return std::any_of(functions_.begin(), functions_.end(),
                       [&](const Function& f) { return f.name == name; });
  }

  std::optional<LoadTimeCode> check(const Function& function) {
    const std::vector<Token>& body = function.body;
    for (size_t i = 0; i < body.size(); ++i) {
      const Token& token = body[i];
      const auto found = [&](const std::string& reason) {
        return LoadTimeCode{place(function.file, token), function.name + " " + reason};
      };
      if (token.kind == Token::Kind::kName && is_in(kForbiddenWords, token.text))
        return found("uses " + std::string(token.text));
      // body[0] is the function's own name.
      if (token.text != kOpenParenthesis || i < 2) continue;
      const Token& before = body[i - 1];
      if (before.text == ")" || before.text == "]" || before.kind == Token::Kind::kText)
        return found("calls the result of an expression");
      if (before.kind != Token::Kind::kName || is_in(kKeywords, before.text)) continue;
      // The dotted path that is called.
      std::string path(before.text);
      size_t first = i - 1;
      while (first >= 2 && body[first - 1].text == "." &&
             body[first - 2].kind == Token::Kind::kName) {
        first -= 2;
        path = std::string(body[first].text) + "." + path;
      }
      const bool of_expression = first >= 1 && body[first - 1].text == ".";
      if (!is_harmless(path, of_expression)) return found("calls " + escape_untrusted(path));
    }
    return std::nullopt;
  }

  bool is_harmless(const std::string& path, bool of_expression) {
    const size_t dot = path.rfind('.');
    const std::string last = dot == path.npos ? path : path.substr(dot + 1);
    if (!of_expression) {
      if (path.starts_with("torch.")) return is_in(kTorchCalls, std::string_view(path).substr(6));
      if (path.starts_with("ops.")) return is_in(kOpsCalls, std::string_view(path).substr(4));
      if (dot == path.npos && is_in(kPlainCalls, path) && !is_defined(path)) return true;
    }
    if (classes_.contains(last)) {
      want("__init__");
      return true;
    }
    if (!is_defined(last)) return false;
    want(last);
    return true;
  }

  std::vector<Function> functions_;
  std::set<std::string> classes_;
  std::optional<LoadTimeCode> odd_;
  std::set<std::string> wanted_;
  std::set<std::string> seen_;
};

}  // namespace

std::optional<LoadTimeCode> find_load_time_code(const std::map<std::string, std::string>& files) {
  // Without the word there is no such method, however the text is read.
  const bool any = std::any_of(files.begin(), files.end(), [](const auto& file) {
    return file.second.find("__setstate__") != file.second.npos;
  });
  if (!any) return std::nullopt;
  return Search(files).run();
}

}  // namespace lathe
