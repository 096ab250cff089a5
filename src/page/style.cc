#include "page/style.h"

namespace verillm {

std::string_view PageStyle() {
  // The series are told apart by colour-blind readers too: their hues are those of Okabe and Ito's palette, darkened on white and
  // lightened on black until each has a contrast of at least 3, and every series has a marker and dashes of its own.
  return R"css(
:root {
  color-scheme: light dark;
  --ink: #1a1f26; --paper: #ffffff; --card: #f6f7f9; --dim: #59626e; --line: #d6dae0; --link: #0057a3;
  --good: #116b3a; --bad: #a8201a; --mixed: #7a5200;
  --c0: #0062a8; --c1: #c4480c; --c2: #007a5e; --c3: #a8407f; --c4: #856600; --c5: #1287b8; --c6: #5a49b8; --c7: #555c66;
  --m0: #e3eef7; --m1: #b9d5ea; --m2: #82b4da; --m3: #4a8ec2; --m4: #1f639f; --m5: #0b3566;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e7eb; --paper: #14171b; --card: #1d2126; --dim: #a0a8b3; --line: #3a4149; --link: #7cbcff;
    --good: #5fd08f; --bad: #ff8a80; --mixed: #e8bd5b;
    --c0: #6ab2f5; --c1: #ff9760; --c2: #42cfa6; --c3: #f193c9; --c4: #e0bf48; --c5: #86dcff; --c6: #b5a8ff; --c7: #c2c8d0;
    --m0: #1f2f40; --m1: #27496a; --m2: #336a9c; --m3: #4f93cc; --m4: #86bdea; --m5: #d3e8fb;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 88rem; padding: 1.5rem clamp(0.8rem, 3vw, 2.5rem) 3rem;
  font: 1rem/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere;
}
h1 { font-size: clamp(1.4rem, 4vw, 2rem); line-height: 1.25; margin: 0 0 0.3rem; text-wrap: balance; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 0.8rem; padding-bottom: 0.3rem; border-bottom: 2px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 0.5rem; }
p { margin: 0.5rem 0; max-width: 75ch; }
a { color: var(--link); }
.facts { color: var(--dim); margin: 0; }
.verdict { font-size: 1.15rem; font-weight: 600; max-width: none; padding: 0.7rem 1rem; border-left: 0.4rem solid; background: var(--card); }
.verdict.good { border-color: var(--good); } .verdict.bad { border-color: var(--bad); } .verdict.mixed { border-color: var(--mixed); }
tr.good { --mark: var(--good); } tr.bad { --mark: var(--bad); } tr.mixed { --mark: var(--mixed); }
tr[class] td:first-child::before, tr[class] td:last-child { color: var(--mark); font-weight: 600; }
tr.good td:first-child::before { content: "\2713\00a0\00a0"; }
tr.bad td:first-child::before { content: "\2717\00a0\00a0"; }
tr.mixed td:first-child::before { content: "\223c\00a0\00a0"; }
.scroll { overflow: auto; width: fit-content; max-width: 100%; max-height: 42rem; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: right; white-space: pre; overflow-wrap: normal; }
th { position: sticky; top: 0; background: var(--card); color: var(--dim); font-weight: 600; vertical-align: bottom; }
.left { text-align: left; }
tbody tr { border-top: 1px solid var(--line); }
.under { margin: 0.3rem 0 1.4rem; font-size: 0.875rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.2rem; margin: 1.2rem 0; }
figure .under { margin-bottom: 0; }
figure { margin: 0; min-width: 0; padding: 1rem; background: var(--card); border-radius: 8px; border: 1px solid var(--line); }
figure.wide { grid-column: 1 / -1; }
figcaption h3 { margin: 0; }
figcaption p { margin: 0.2rem 0 0.6rem; color: var(--dim); font-size: 0.9rem; }
figure > svg, .panels svg { display: block; width: 100%; max-width: 38rem; height: auto; margin: 0 auto; }
.panels svg { max-width: 28rem; margin: 0; }
svg text { fill: currentColor; font-family: inherit; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
.panels h4 { margin: 0 0 0.2rem; font-size: 0.9rem; }
.legend {
  list-style: none; display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 10.5rem), 1fr)); gap: 0.15rem 1rem;
  margin: 0.4rem 0 0.6rem; padding: 0; font-size: 0.85rem;
}
.legend.row { display: flex; flex-wrap: wrap; }
.legend li { display: flex; align-items: center; gap: 0.45rem; min-width: 0; }
.legend svg { flex: none; width: 44px; height: 14px; }
.legend i { flex: none; width: 18px; height: 14px; border: 1px solid var(--line); }
.markers { position: absolute; width: 0; height: 0; }
details { margin-top: 0.6rem; }
code { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.92em; }
summary { cursor: pointer; color: var(--link); font-size: 0.9rem; }
details[open] summary { margin-bottom: 0.5rem; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr); gap: 0.25rem 1.2rem; margin: 0.5rem 0; }
dt { color: var(--dim); } dd { margin: 0; }
pre { white-space: pre-wrap; margin: 0.4rem 0 1rem; padding: 0.7rem 1rem; background: var(--card); border-radius: 6px; font-size: 0.85rem; }
@media print {
  body { padding: 0; font-size: 0.8rem; }
  details:not([open]), .csv { display: none; }
  .scroll { overflow: visible; max-height: none; }
  table { font-size: 0.7rem; }
  th, td { padding: 0.15rem 0.4rem; white-space: pre-wrap; }
  th { position: static; }
  .figures, .panels { grid-template-columns: 1fr 1fr; }
  figure, tr, .panels > div { break-inside: avoid; }
  figure.wide { break-inside: auto; }
  h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)css";
}

}  // namespace verillm
