"""How the page of a report looks."""

STYLE = """
:root { --normal: #0072B2; --anomaly: #C24E00; --line: #d9dee4; --soft: #f5f7f9; --text: #1c2733; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif;
  color: var(--text); margin: 0 auto; max-width: 1080px; padding: 2rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; overflow-wrap: anywhere; }
p { max-width: 46rem; margin: .4rem 0; }
.quiet { color: #566472; font-size: .92rem; overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }
.tile { border: 1px solid var(--line); border-top: 4px solid #8593a1; border-radius: 6px;
  padding: .6rem 1rem; min-width: 9.5rem; flex: 1; }
.tile b { display: block; font-size: 1.8rem; line-height: 1.2; }
.tile.anomaly { border-top-color: var(--anomaly); } .tile.anomaly b { color: var(--anomaly); }
.tile.normal { border-top-color: var(--normal); } .tile.normal b { color: var(--normal); }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
th, td { text-align: left; padding: .4rem .7rem .4rem 0; border-bottom: 1px solid var(--line);
  vertical-align: middle; overflow-wrap: break-word; }
th { font-size: .85rem; color: #566472; font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
.verdict { font-weight: 600; white-space: nowrap; }
.verdict.anomaly { color: var(--anomaly); } .verdict.normal { color: var(--normal); }
.thumbnail { height: 84px; max-width: 168px; object-fit: contain; border: 1px solid var(--line);
  display: block; }
.tiny { image-rendering: pixelated; }
.wide { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
.bar { background: var(--soft); min-width: 9rem; }
.bar div { background: var(--normal); height: .8rem; min-width: 1px; }
.note { background: var(--soft); border-radius: 6px; padding: .8rem 1.1rem; margin: 1rem 0; }
.note p, .note li { max-width: none; }
code { font-size: .9em; }
@media print {
  body { max-width: none; } h2, h3 { break-after: avoid; } tr, .wide { break-inside: avoid; } }
"""
