"""Results as an aligned table, as Markdown and as JSON."""
import json


def number(value, unit):
    if value is None:
        return "-"
    if unit == "B":
        return f"{value:,.0f}"
    if unit == "calls":
        return f"{value:.2f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def side_text(entry, unit):
    if entry["failed"]:
        return "failed"
    text = number(entry.get("median"), unit)
    if len(entry["samples"]) > 1:
        text += f" [{number(entry['min'], unit)}-{number(entry['max'], unit)}]"
    return text


def rows(results):
    """One row per pair, and one for our own value where it has a goal or no partner."""
    for result in results:
        labels = list(result["sides"])
        ours, unit = result["sides"][labels[0]], result["unit"]
        ratios = {r["to"]: r for r in result["ratios"]}
        partners = [name for name in labels[1:] if name != "direct"]
        for label in partners:
            ratio = ratios.get(label)
            text = goal = verdict = "-"
            if ratio:
                text = f"{ratio['median']:.2f} [{ratio['min']:.2f}-{ratio['max']:.2f}]"
                goal = f"<= {ratio['goal']:.2f}" if ratio["goal"] else "-"
                verdict = {True: "ok", False: "MISSED", None: ""}[ratio["met"]]
            yield (result["name"], f"{labels[0]} / {label}", side_text(ours, unit),
                   side_text(result["sides"][label], unit), text, goal, verdict)
        if result["most"] is not None:
            verdict = {True: "ok", False: "MISSED", None: "-"}[result.get("met")]
            yield (result["name"], labels[0], side_text(ours, unit), "", "",
                   f"<= {result['most']:g} {unit}", verdict)


def speed_rows(results):
    """What pgbench saw: worthless in itself on a shared machine, but it shows a stall."""
    for result in results:
        if result["kind"] != "cpu":
            continue
        for label, entry in result["sides"].items():
            if entry["runs"]:
                runs = sorted(entry["runs"], key=lambda r: r["tps"])
                mid = runs[len(runs) // 2]
                yield (result["name"], label, f"{mid['tps']:,.0f}", f"{mid['latency_ms']:.2f}")


HEAD = ("scenario", "pair", "first", "second", "ratio [min-max]", "goal", "")
SPEED_HEAD = ("scenario", "side", "tps", "latency ms")


def aligned(head, body):
    table = [head, *body]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in table)


def markdown_table(head, body):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(lines)


def notes(results):
    """Why a side is missing; each reason once."""
    seen = {}
    for result in results:
        for label, entry in result["sides"].items():
            why = entry["failed"] and "FAILED: " + entry["failed"] or entry["skipped"]
            if why:
                seen.setdefault(f"{label}: {why}", []).append(result["name"])
    return [f"{why} ({', '.join(names)})" for why, names in seen.items()]


def render(meta, results, as_markdown=False):
    table = markdown_table if as_markdown else aligned
    head = (f"{meta['date']}, {meta['machine']}; {meta['rounds']} rounds of {meta['seconds']} s, "
            f"load average {meta['load'][0]:.1f} before and {meta['load'][1]:.1f} after")
    parts = [head]
    parts += ["; ".join(f"{name}: {text}" for name, text in meta["versions"].items())]
    parts += [table(HEAD, list(rows(results)))]
    speed = list(speed_rows(results))
    if speed:
        parts += [table(SPEED_HEAD, speed)]
    parts += ["\n".join(("- " if as_markdown else "") + line for line in notes(results))]
    return "\n\n".join(p for p in parts if p)


def write_json(path, meta, results):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"meta": meta, "results": results}, indent=1) + "\n")
