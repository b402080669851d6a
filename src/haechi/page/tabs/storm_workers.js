// A tile for each worker: one stream, one socket, one port. What is wrong is said by shape and word, too.

import { clear, el, write } from "../lib/dom.js";
import { fmt, t } from "../lib/words.js";

export function makeWorkers() {
  const title = el("h2", { text: t("storm.workers") });
  const summary = el("span", { class: "muted num", id: "workers-summary" });
  const tiles = el("ul", { class: "tiles" });
  const node = el("section", { class: "card workers", "aria-label": t("storm.workers") }, el("header", { class: "card-head" }, title, summary), tiles);
  let shown = [];
  let of = "";

  function build(workers) {
    shown = workers.map(() => tile());
    clear(tiles).append(...shown.map((one) => one.node));
  }

  return {
    node,
    show(workers, live, storm) {
      const now = `${storm} ${workers.length}`;
      if (now !== of) {
        of = now;
        build(workers);
      }
      const most = Math.max(1, ...workers.map((worker) => worker.eps));
      const counts = { running: 0, stopped: 0, error: 0 };
      workers.forEach((worker, i) => {
        const status = live ? worker.status : "ended";
        if (status in counts) counts[status] += 1;
        shown[i].show(worker, status, worker.eps / most);
      });
      write(summary, live && workers.length ? told(workers, counts) : t("storm.workers_ended", { n: workers.length }));
    },
  };
}

function told(workers, counts) {
  const rates = workers.map((worker) => worker.eps).sort((a, b) => a - b);
  const parts = Object.entries(counts).filter(([name, n]) => n || name === "running");
  return [
    ...parts.map(([name, n]) => t(`storm.count.${name}`, { n })),
    t("storm.spread", { least: fmt.rate(rates[0]), middle: fmt.rate(rates[rates.length >> 1]), most: fmt.rate(rates.at(-1)) }),
  ].join(" · ");
}

function tile() {
  const id = el("span", { class: "muted worker-id" });
  const port = el("span", { class: "mono worker-port" });
  const eps = el("b", { class: "num" });
  const word = el("span", { class: "worker-word" });
  const fill = el("i");
  const node = el("li", { class: "tile worker" }, el("div", { class: "worker-head" }, port, id), el("div", { class: "worker-head" }, eps, el("span", { class: "worker-sign" }, word)), el("i", { class: "gauge" }, fill));
  let told = "";
  return {
    node,
    show(worker, status, share) {
      write(id, `#${worker.id}`);
      write(port, `:${worker.port}`);
      write(eps, status === "ended" ? fmt.rate(worker.total_sent) : fmt.rate(worker.eps));
      write(word, t(`storm.status.${status}`));
      node.dataset.status = status;
      fill.style.transform = `scaleX(${status === "ended" ? 0 : share.toFixed(3)})`;
      const core = worker.cpu_core === null ? "" : t("storm.on_core", { n: worker.cpu_core });
      const now = [
        t("storm.worker_title", { id: worker.id, port: worker.port }),
        t(`storm.status.${status}`),
        core,
        t("storm.worker_sent", { n: fmt.count(worker.total_sent), errors: fmt.count(worker.errors) }),
      ]
        .filter(Boolean)
        .join("\n");
      if (now !== told) {
        told = now;
        node.title = now;
      }
    },
  };
}
