#include "report/html_style.h"

namespace lathe {

const char* html_style() {
  return R"css(
:root{color-scheme:light dark;--bg:#f5f6f8;--card:#fff;--ink:#1b1f24;--dim:#57606a;--line:#d8dee4;
--grid:#e6e9ed;--pass:#116329;--fail:#b3131d;--open:#7d4e00;--none:#57606a;
--passbg:#e3f6e8;--failbg:#ffebe9;--openbg:#fff4d4;--nonebg:#eef1f4;
--c0:#0b62c4;--c1:#b04a00;--c2:#1a7f37;--c3:#8250df;--c4:#bf3989;--c5:#57606a;--band:#0b62c422}
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--card:#161b22;--ink:#e6edf3;--dim:#9aa4af;
--line:#30363d;--grid:#262c34;--pass:#56d364;--fail:#ff8f87;--open:#e3b341;--none:#9aa4af;
--passbg:#11301b;--failbg:#3c1618;--openbg:#362a08;--nonebg:#21262d;
--c0:#6cb6ff;--c1:#ffa657;--c2:#56d364;--c3:#d2a8ff;--c4:#ff9bce;--c5:#9aa4af;--band:#6cb6ff26}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:16px}
header,section{background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:16px 18px;margin:0 0 14px}
header{border-left:6px solid var(--none)}
header.pass{border-left-color:var(--pass)}header.fail{border-left-color:var(--fail)}
header.open{border-left-color:var(--open)}
h1{font-size:1.3rem;line-height:1.35;margin:8px 0 6px;overflow-wrap:anywhere}
h2{font-size:1.05rem;margin:0 0 10px}
h3{font-size:.92rem;margin:0 0 2px}
p{margin:0 0 8px}
.note,.sub{color:var(--dim);font-size:.87rem;overflow-wrap:anywhere}
.note{margin:8px 0 0}.sub{margin:0}
.v{display:inline-block;font-weight:600;white-space:nowrap}
.v.pass{color:var(--pass)}.v.fail{color:var(--fail)}.v.open{color:var(--open)}
.v.none{color:var(--none)}
.badge{display:inline-block;font-weight:700;letter-spacing:.04em;padding:3px 12px;border-radius:99px}
.badge.pass{color:var(--pass);background:var(--passbg)}
.badge.fail{color:var(--fail);background:var(--failbg)}
.badge.open{color:var(--open);background:var(--openbg)}
.badge.none{color:var(--none);background:var(--nonebg)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(138px,1fr));gap:10px;
margin:0 0 14px;padding:0;list-style:none}
.tiles li{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 14px}
.tiles .k{display:block;color:var(--dim);font-size:.82rem}
.tiles .f{display:block;font-size:1.22rem;font-weight:650;font-variant-numeric:tabular-nums}
.tiles .d{display:block;color:var(--dim);font-size:.82rem}
.scroll{overflow-x:auto;position:relative}
.scroll:focus-visible{outline:2px solid var(--c0);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--dim);font-size:.82rem;padding:0 0 4px}
th,td{padding:6px 14px 6px 0;text-align:left;border-bottom:1px solid var(--grid);
vertical-align:top;white-space:nowrap}
tr>:last-child{padding-right:0}
tbody tr:last-child>*{border-bottom:0}
thead th{color:var(--dim);font-weight:600;font-size:.82rem}
tbody th{font-weight:500}
.n{text-align:right}
.w{white-space:normal;overflow-wrap:anywhere;min-width:9.5em}
td .note,th .note{margin:0 0 0 4px}
caption span{display:block}
caption.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.scroll+.note{margin-bottom:0}.scroll+.scroll,.scroll+h3,.figures+.scroll,.note+.scroll{margin-top:14px}
.track{display:block;min-width:110px;height:12px;margin:5px 0;border-radius:3px;
background:var(--grid);overflow:hidden}
.bar{display:block;height:12px;min-width:2px;border-radius:3px;background:var(--c0)}
.bar.b1{background:var(--c1)}
.figures{display:grid;align-items:start;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:18px}
figure{margin:0;min-width:0;max-width:620px}
figcaption{font-weight:600;font-size:.92rem}
figcaption span{display:block;font-weight:400;color:var(--dim);font-size:.84rem}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--dim);font:11px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
svg text.s{fill:var(--ink)}
svg .grid{stroke:var(--grid);stroke-width:1}
svg .axis{stroke:var(--dim);stroke-width:1}
svg .rule{stroke:var(--ink);stroke-width:1;stroke-dasharray:2 3}
svg .band{fill:var(--band)}
svg .line{fill:none;stroke-width:2;stroke-linejoin:round}
svg .thin{stroke-width:1.5}svg .thick{stroke-width:6;stroke-linecap:butt}
svg .k0{stroke:var(--c0)}svg .k1{stroke:var(--c1);stroke-dasharray:6 3}
svg .k2{stroke:var(--c2);stroke-dasharray:2 3}svg .k3{stroke:var(--c3);stroke-dasharray:9 3 2 3}
svg .k4{stroke:var(--c4);stroke-dasharray:4 4}svg .k5{stroke:var(--c5)}
svg .solid{stroke-dasharray:none}
svg .f0{fill:var(--c0)}svg .f1{fill:var(--c1)}svg .f2{fill:var(--c2)}svg .f3{fill:var(--c3)}
svg .f4{fill:var(--c4)}svg .f5{fill:var(--c5)}
ul.plain{list-style:none;margin:0;padding:0}
ul.plain li{padding:6px 0;border-bottom:1px solid var(--grid);overflow-wrap:anywhere}
ul.plain li:last-child{border-bottom:0}
code,pre{font:.86rem/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
details>summary{cursor:pointer;font-weight:600;font-size:1.05rem}
details[open]>summary{margin-bottom:10px}
details.more>summary{font-size:.92rem}
.scroll+details.more{margin-top:12px}
footer{color:var(--dim);font-size:.82rem;padding:2px 4px 20px;overflow-wrap:anywhere}
@media (max-width:560px){main{padding:10px}header,section{padding:12px 13px}
h1{font-size:1.12rem}
th,td{padding-right:11px}.tiles{grid-template-columns:1fr 1fr}thead th{white-space:normal}
td .note,th .note{display:block;margin:0;white-space:normal}
table{font-size:.86rem}th[scope=row]{white-space:normal}
caption span{max-width:calc(100vw - 50px)}
table.stack thead{display:none}
table.stack tr{display:block;padding:8px 0;border-bottom:1px solid var(--grid)}
table.stack tr:first-child{padding-top:0}table.stack tr:last-child{border:0;padding-bottom:0}
table.stack th,table.stack td{display:block;border:0;padding:1px 0;text-align:left;white-space:normal}
table.stack td:empty{display:none}
table.stack td::before{content:attr(data-l);display:inline-block;width:7.6em;color:var(--dim)}
}
@media print{body{background:#fff}header,section{break-inside:avoid}}
)css";
}

}  // namespace lathe
