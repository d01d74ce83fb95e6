"""How the page of a rollout looks."""

from __future__ import annotations

HEAD = '<meta name="viewport" content="width=device-width, initial-scale=1">'
STYLE = """
:root{color-scheme:light dark;--ink:#1d2430;--soft:#5f6672;--paper:#fff;--panel:#f5f6f8;--rule:#e1e4e9;
--new:#2463a5;--old:#b3631a;--pass:#2c7a45;--fail:#b8352b;--error:#7746a0}
@media (prefers-color-scheme:dark){:root{--ink:#e4e7ec;--soft:#9aa2af;--paper:#14171c;--panel:#1d2128;
--rule:#323843;--new:#6fb0f2;--old:#e59a52;--pass:#69bd82;--fail:#f0796e;--error:#bd92e0}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:1080px;margin:0 auto;padding:20px 16px 48px}h1{font-size:21px;line-height:1.3;margin:0 0 10px}
h2{font-size:16px;margin:30px 0 8px}p{margin:4px 0}.note{color:var(--soft);font-size:13px}
.come{border-left:5px solid var(--soft);background:var(--panel);padding:10px 14px;margin:10px 0}
.come b{display:block;font-size:18px}.come.promote,.come.advance{border-color:var(--pass)}
.come.roll_back{border-color:var(--fail)}.come.keep{border-color:var(--old)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px 18px;margin:12px 0 0}
.facts dt{color:var(--soft);font-size:12px}.facts dd{margin:0;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:20px}
figure{margin:0}figcaption{color:var(--soft);font-size:13px;margin-bottom:2px}
svg{width:100%;height:auto;max-width:620px;display:block}
svg text{font:12.5px system-ui,sans-serif;fill:var(--soft)}
svg path{stroke-width:1.6}svg .grid{stroke:var(--rule);stroke-width:1}.band{fill:var(--new);opacity:.17}
.whisker{stroke:var(--new)}.challenger{stroke:var(--new)}.champion{stroke:var(--old)}.dot{fill:var(--new)}
.olddot{fill:var(--old)}.bound{fill:var(--fail)}.champion{stroke-width:4.5;opacity:.85}
.zero{stroke:var(--ink);stroke-width:1.1}
.limit{stroke:var(--fail);stroke-dasharray:5 4}.step{stroke:var(--soft);stroke-dasharray:2 4;stroke-width:1}
.key{color:var(--soft);font-size:13px;margin-top:6px}.key i{display:inline-block;width:11px;height:11px;
margin:0 5px 0 12px;vertical-align:-1px}.key i:first-child{margin-left:0}
.key .challenger{background:var(--new)}
.key .champion{background:var(--old)}.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;
width:100%}td,th{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--rule);
vertical-align:top;font-variant-numeric:tabular-nums}th{color:var(--soft);font-weight:500}
td:not(:last-child){white-space:nowrap}td:last-child{min-width:220px}.wide+.wide{margin-top:14px}
.pass{color:var(--pass);font-weight:600}.fail{color:var(--fail);font-weight:600}
.error{color:var(--error);font-weight:600}.insufficient{color:var(--soft);font-weight:600}
@media (max-width:640px){.cards th{display:none}.cards tr{display:grid;gap:2px 12px;padding:8px 0;
grid-template-columns:repeat(auto-fill,minmax(100px,1fr));border-bottom:1px solid var(--rule)}
.cards tr:first-child{display:none}.cards td:not(:last-child){white-space:normal}
.cards td{border:0;padding:0;min-width:0;overflow-wrap:anywhere}.cards td:last-child{grid-column:1/-1}
.cards td::before{content:attr(data-name);display:block;color:var(--soft);font-size:11px;font-weight:400}
td:not(:last-child){white-space:normal}td:last-child{min-width:0}}
"""
SEVERAL = """
:root{--new2:#1d7f74;--new3:#8a4fb0;--new4:#b03a70}
@media (prefers-color-scheme:dark){:root{--new2:#58c2b4;--new3:#bb8ee0;--new4:#ea82ae}}
.come.drop{border-color:var(--fail)}
.challenger-2,.whisker.challenger-2{stroke:var(--new2)}.challenger-3,.whisker.challenger-3{stroke:var(--new3)}
.challenger-4,.whisker.challenger-4{stroke:var(--new4)}.dot-2,.band-2{fill:var(--new2)}
.dot-3,.band-3{fill:var(--new3)}.dot-4,.band-4{fill:var(--new4)}.band-2,.band-3,.band-4{opacity:.17}
.key .challenger-2{background:var(--new2)}.key .challenger-3{background:var(--new3)}
.key .challenger-4{background:var(--new4)}h3{font-size:14px;margin:18px 0 4px}
"""
"""What the page of several challengers has besides: a colour for each."""

__all__ = ["HEAD", "SEVERAL", "STYLE"]
