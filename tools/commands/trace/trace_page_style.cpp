#include "commands/trace/trace_page_parts.h"

namespace lathe {

std::string_view trace_page_style() {
  return R"css(
:root { color-scheme: light dark; --back: #fff; --text: #1a1c1f; --dim: #5d646d; --line: #d8dce1;
  --panel: #f4f6f8; --accent: #1f6feb; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e4e7eb; --dim: #9aa3ad;
  --line: #343a41; --panel: #1d2126; --accent: #6ea8fe; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 16px; background: var(--back);
  color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 20px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 24px 0 8px; }
p { margin: 0 0 12px; color: var(--dim); }
.bar { display: flex; flex-wrap: wrap; gap: 8px; margin-bottom: 8px; }
.bar input { flex: 1 1 160px; min-width: 0; }
.bar input, .bar button { font: inherit; color: inherit; background: var(--panel);
  border: 1px solid var(--line); border-radius: 6px; padding: 6px 10px; min-height: 36px; }
.bar button { cursor: pointer; min-width: 40px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
#box { border: 1px solid var(--line); border-radius: 6px; overflow: hidden; max-height: 70vh;
  overflow-y: auto; }
canvas { display: block; width: 100%; touch-action: pan-y; cursor: grab; }
#detail { min-height: 3em; padding: 8px 10px; background: var(--panel); border-radius: 6px;
  margin-top: 8px; overflow-wrap: anywhere; white-space: pre-line; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 4px 10px; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--dim); font-weight: 600; }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 140px; }
td .share { display: inline-block; height: 8px; background: var(--accent); border-radius: 2px;
  margin-left: 6px; }
)css";
}

}  // namespace lathe
