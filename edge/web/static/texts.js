// Every word of the page, Chinese and English side by side. {x} is filled in; docs/page.md explains the figures behind the words.

export const TABLE = {
  // buckets: what a machine is doing
  "run": ["运行", "Running"],
  "breakdown": ["故障", "Breakdown"],
  "internal_minor": ["短停", "Minor stop"],
  "setup": ["换型调整", "Set-up"],
  "startup": ["开机启动", "Starting up"],
  "external_starved": ["缺料等待", "Starved"],
  "external_blocked": ["下游堵塞", "Blocked"],
  "no_order": ["无订单", "No order"],
  "planned_stop": ["计划停机", "Planned stop"],
  "maintenance": ["检修保养", "Maintenance"],
  "manual": ["手动", "Manual"],
  "unassigned": ["停机待查", "Stopped"],
  "unknown": ["状态未知", "Unknown"],
  "not_scheduled": ["非排产时段", "Off shift"],

  // head of the page
  "summary-run": ["运行", "running"],
  "summary-stopped": ["停机", "stopped"],
  "summary-unknown": ["未知", "unknown"],
  "summary-off": ["非排产", "off shift"],
  "shift-output": ["本班合格产量", "Good output, this shift"],
  "no-output": ["当前不在班次内", "Outside shifts"],
  "pieces": ["件", "pcs"],
  "per-minute": ["件/分", "pcs/min"],
  "line": ["产线 {id}", "Line {id}"],
  "line-note": ["{running} / {all} 台运行", "{running} of {all} running"],
  "page-live": ["页面实时更新", "Page is live"],
  "page-wait": ["页面正在连接", "Page is connecting"],
  "page-lost": ["页面未更新", "Page not updating"],
  "config-refused": ["配置修改未生效", "edit of the configuration not in force"],
  "banner-lost": ["页面自 {time} 起未更新：与网关的连接已断开，正在重试。下面是当时的数据，不代表现在。",
    "Page not updating since {time}: the link to the gateway is lost, retrying. Below is what was true then, not now."],
  "banner-wait": ["正在连接网关……", "Connecting to the gateway …"],
  "waiting": ["正在等待第一份数据……", "Waiting for the first data …"],
  "store-ok": ["本机存储正常", "Store is fine"],
  "store-bad": ["本机存储异常", "Store has failed"],
  "store-window": ["断电最多丢失 {s} 秒", "power cut loses {s} s at most"],
  "sinks-ok": ["上传正常", "Delivery is fine"],
  "sinks-wait": ["上传等待中", "Delivery waits"],
  "sinks-none": ["未配置上传", "No database configured"],
  "sinks-backlog": ["积压 {n} 条", "{n} records waiting"],
  "sinks-oldest": ["最早 {age}前", "oldest {age}"],
  "switch": ["English", "中文"],
  "switch-label": ["Switch to English", "切换到中文"],

  // machine kinds, where one product is made by several; kinds of the site's own keep their id
  "kind-flat-mask-1+1": ["一拖一", "1+1"],
  "kind-flat-mask-1+2": ["一拖二", "1+2"],
  "kind-kn95": ["折叠机", "folded"],
  "kind-mask-line": ["口罩线", "mask line"],
  "kind-tape-sealer": ["压条", "taped"],
  "kind-suit-station": ["工位", "station"],
  "kind-eo-steriliser": ["灭菌", "sterilised"],

  // machine card
  "since": ["已 {age}", "for {age}"],
  "oee": ["设备综合效率 OEE", "OEE"],
  "availability": ["时间开动率", "Availability"],
  "performance": ["性能开动率", "Performance"],
  "quality": ["合格品率", "Quality"],
  "good": ["合格产量", "Good output"],
  "target": ["/ 目标 {n}", "of {n}"],
  "no-target": ["无计划目标", "no target"],
  "attainment": ["计划达成率", "Share of the target reached"],
  "reject": ["不良 {reject} · 总数 {total}", "Reject {reject} · total {total}"],
  "rate": ["速度 {now} / {ideal} {unit}", "Rate {now} / {ideal} {unit}"],
  "rate-title": ["最近一分钟的速度 / 理想速度", "Rate of the last minute / ideal rate"],
  "fault": ["{code} {text}", "{code} {text}"],
  "fault-bare": ["故障代码 {code}", "Fault code {code}"],
  "age": ["数据 {age}前", "read {age} ago"],
  "age-never": ["从未读到数据", "never read"],
  "strip": ["最近：{parts}", "Recently: {parts}"],
  "strip-none": ["还没有记录", "No record yet"],
  "why-off": ["非排产时段，不计 OEE", "outside shifts: no OEE"],
  "why-baseline": ["等待第一次计数读数", "waiting for the first count"],
  "why-unseen": ["本班尚未采到数据", "not observed this shift"],
  "failures": ["本班故障 {n} 次，MTBF {mtbf}，MTTR {mttr}", "failures: {n}, MTBF {mtbf}, MTTR {mttr}"],
  "range": ["真值在 {low} 与 {high} 之间：有未观测的时间或清零可能掩盖的件数", "between {low} and {high}: time nobody saw, or pieces a reset may have hidden"],
  "tier": ["{id} · 信号等级 T{n}", "{id} · signal tier T{n}"],
  "coverage": ["覆盖率 {p}", "{p} observed"],
  "flag-ict_suspect": ["性能超 100 %，理想节拍存疑", "above 100 %: ideal cycle in doubt"],
  "flag-reset": ["计数器曾复位", "counter was reset"],
  "flag-ambiguous": ["计数有歧义，已取小值", "ambiguous count, smaller taken"],
  "flag-recovered": ["含断线期间补回的产量", "includes pieces counted across a gap"],
  "flag-estimated": ["补回产量按时间分摊", "recovered pieces spread pro rata"],
  "flag-clock_step": ["时钟曾跳变", "clock was stepped"],
  "flag-state_conflict": ["状态信号与计数不符", "state and count disagree"],
  "flag-config_changed": ["班内修改过配置", "configuration changed"],
  "flag-counter_fault": ["计数器异常", "counter fault"],
  "flag-quality_assumed": ["无良品计数，视为全部合格", "no quality signal: all taken as good"],

  // tables
  "devices": ["设备通信（PLC 与服务器）", "Devices (PLCs and servers)"],
  "device": ["设备", "Device"],
  "state": ["状态", "State"],
  "address": ["地址", "Address"],
  "latency": ["应答时间", "Latency"],
  "lateness": ["采集延迟 p99", "Lateness p99"],
  "requests": ["请求 · 占用", "Requests · busy"],
  "per-s": ["{n}/秒", "{n}/s"],
  "requests-total": ["共 {n} 次请求", "{n} requests in all"],
  "requests-most": ["；上限每秒 {n} 次、占用 {share}", "; at most {n}/s, busy {share} of the time"],
  "exceptions": ["异常应答", "Exceptions"],
  "timeouts": ["超时", "Timeouts"],
  "reconnects": ["连接次数", "Connects"],
  "detail": ["说明", "Detail"],
  "up": ["在线", "Up"],
  "down": ["离线", "Down"],
  "for": ["已 {age}", "for {age}"],
  "sinks": ["数据上传", "Delivery to databases"],
  "sink": ["数据库", "Database"],
  "backlog": ["积压记录", "Backlog"],
  "oldest": ["最早未送", "Oldest unsent"],
  "delivered": ["已送达点数", "Points delivered"],
  "quarantined": ["隔离点数", "Quarantined"],
  "delivering": ["正在上传", "Delivering"],
  "waiting-sink": ["等待重试", "Waiting"],
  "idle": ["已全部送达", "All delivered"],
  "store": ["本机存储 {path}：{size}，{records} 条记录，上次提交 {age}前，提交耗时 p99 {p99}。",
    "Store {path}: {size}, {records} records, last commit {age} ago, commit p99 {p99}."],
  "store-autonomy": ["数据库全部中断时还可保存约 {time}。", " Keeps everything for another {time} with every database away."],
  "store-wear": ["每天写盘约 {size}。", " Writes about {size} a day to the disk."],
  "store-error": ["本机存储异常：{error}", "Store: {error}"],
  "gaps": ["数据缺口", "Gaps in the data"],
  "gaps-none": ["没有缺口", "No gaps"],
  "gap-cause": ["原因", "Cause"],
  "gap-object": ["对象", "Object"],
  "gap-from": ["开始", "From"],
  "gap-length": ["时长", "Length"],
  "gap-hides": ["可能掩盖", "May hide"],
  "gap-lasts": ["，仍在持续", ", lasts"],
  "gap-records": ["{n} 条", "{n} records"],
  "gap-pieces": ["{n} 件，已补记", "{n} pcs, recovered"],
  "gap-pieces-range": ["{least} 至 {most} 件", "{least} to {most} pcs"],
  "gap-plc-off": ["设备无应答", "PLC off"],
  "gap-link-down": ["通信链路断开", "Link down"],
  "gap-agent-stopped": ["代理未运行", "Agent stopped"],
  "gap-clock-stepped": ["时钟被调整", "Clock stepped"],
  "gap-unobserved": ["状态信号缺失", "Not observed"],
  "gap-evicted": ["存储已满删除", "Evicted"],
  "gap-quarantined": ["数据库拒收隔离", "Quarantined"],
  "gap-damaged": ["磁盘数据损坏", "Damaged"],
  "gap-of-machine": ["机台 {id}", "Machine {id}"],
  "gap-of-device": ["设备 {id}", "Device {id}"],
  "gap-of-agent": ["站点 {id}", "Site {id}"],
  "gap-of-class": ["数据类别 {id}", "Class {id}"],
  "gap-of-database": ["数据库 {id}", "Database {id}"],
  "legend": ["时间条：最近 {n} 分钟", "Strip: the last {n} minutes"],

  // units
  "ms": ["{n} 毫秒", "{n} ms"],
  "s": ["{n} 秒", "{n} s"],
  "min": ["{n} 分", "{n} min"],
  "h": ["{n} 小时", "{n} h"],
  "h-min": ["{h} 时 {m} 分", "{h} h {m} min"],
  "d-h": ["{d} 天 {h} 小时", "{d} d {h} h"],
  "dash": ["–", "–"],
};

const KEY = "seamline.language";
const COLUMN = { zh: 0, en: 1 };
let language = remembered() ?? document.documentElement.lang;

function remembered() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept in COLUMN ? kept : null;
  } catch {
    return null; // storage is forbidden in this browser: the language is then not remembered, nothing else
  }
}

export const currentLanguage = () => language;
export const locale = () => (language === "zh" ? "zh-CN" : "en-GB");
/** Every bucket, in the order of the legend. */
export const BUCKETS = Object.keys(TABLE).slice(0, 14);

/** The text of `key` in the reader's language, its {placeholders} filled from `values`. */
export function t(key, values) {
  const text = TABLE[key]?.[COLUMN[language]] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => values[name]) : text;
}

export const has = (key) => key in TABLE;

/** A {zh, en} name as the site file gives it; the other language where one is missing. */
export const named = (name) => (name ? name[language] || name.zh || name.en : "");

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(KEY, language);
  } catch {
    // see remembered()
  }
}
