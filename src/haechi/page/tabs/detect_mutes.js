// What is muted now, for how much longer, and how to end it.

import { button } from "../lib/dom.js";
import { doing } from "./detect_detail.js";
import { saying, sentence } from "./detect_errors.js";
import { visible } from "./detect_text.js";
import { ruleWord } from "./detect_words.js";

export class Mutes {
  constructor(ctx, store) {
    const { el } = ctx;
    this.ctx = ctx;
    this.store = store;
    this.found = [];
    this.wrong = saying(el);
    this.list = el("ul", { class: "mutes" });
    this.empty = el("div", { class: "empty", text: ctx.t("detect.no_mutes") });
    this.node = el("div", { class: "mutes-panel" }, this.wrong.node, this.list, this.empty);
  }

  async load() {
    const { api, t } = this.ctx;
    try {
      this.found = await api.get("/mutes");
      this.wrong.say("");
    } catch (error) {
      this.wrong.say(sentence(error, t));
    }
    this.draw();
  }

  draw() {
    this.empty.hidden = this.found.length > 0;
    this.list.replaceChildren(...this.found.map((one) => this.#row(one)));
  }

  #row(one) {
    const { el, t, fmt } = this.ctx;
    // The server knows a kind by any alert of it.
    const of = this.store.items.find(
      ({ alert }) => alert.detector === one.detector && alert.rule === one.rule && (alert.template ?? "") === one.template,
    );
    const end = button(t("detect.unmute"), async () => {
      await doing(this.store.unmute(of));
      await this.load();
    });
    end.disabled = of === undefined;
    if (of === undefined) end.title = t("detect.unmute_none");
    return el(
      "li",
      {},
      el(
        "div",
        {},
        el("b", { text: `${one.detector} \u00b7 ${ruleWord(one.rule, t)}` }),
        el("span", { class: "mono", text: visible(one.template) || t("detect.any_template") }),
      ),
      el("span", { class: "num muted", text: t("detect.mute_left", { time: fmt.seconds(one.seconds) }) }),
      end,
    );
  }
}
